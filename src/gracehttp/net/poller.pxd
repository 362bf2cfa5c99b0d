cdef class EpollPoller:
    cdef object __weakref__
    cdef object _loop
    cdef object _epoll
    cdef list _pollables
    cdef set _removed
    cdef object _failing_since
    cdef public Py_ssize_t credit

    cpdef void _turn(self) except *
