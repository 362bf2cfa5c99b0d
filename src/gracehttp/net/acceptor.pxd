import cython

from gracehttp.net cimport system_calls


cdef class Acceptor:
    cdef object _listener
    cdef object _permits
    cdef public object _on_connection
    cdef object _address
    cdef object _loop
    cdef object _publish
    cdef readonly object _backlog
    cdef object _restraint
    cdef object _watched
    cdef readonly bint _awaiting_permit
    cdef object _pause
    cdef public object _pause_seconds
    cdef object _on_stopped
    cdef object _left
    cdef bint _accepting
    cdef bint _closed
    cdef int _fd
    cdef int _family
    cdef bint _in_wake_up
    cdef int _at_hand

    cpdef release(self)
    cdef _give_back(self)
    cpdef _on_acceptable(self)
    @cython.locals(waiting=int, accepted=tuple)
    cdef _accept_some(self)
    cdef _after_some(self)
    cdef bint _may_accept(self) except -1
    cdef int _waiting(self) except -2
