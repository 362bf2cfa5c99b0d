import cython

from gracehttp.applications.wsgi cimport headers as checked
from gracehttp.http.exchange cimport Exchange


cdef Py_ssize_t _HIGH_WATER_BYTES


cdef class WsgiResponse:
    cdef Exchange _exchange
    cdef object _calls
    cdef public object on_end
    cdef int _status
    cdef list _headers
    cdef bint _sent
    cdef bint _bodiless
    cdef bint _cut
    cdef bytes _body
    cdef object _lock
    cdef object _room
    cdef list _pieces
    cdef object _file
    cdef Py_ssize_t _unwritten
    cdef bint _asked
    cdef bint _done
    cdef object _error
    cdef object _failure
    cdef object _waiter
    cdef object _left
    cdef bint _excess
    cdef bint _listed
    cdef bint _gave_up
    cdef bint _whole
    cdef bint _waits
    cdef double _silent_since

    cpdef begin(self, Exchange exchange, calls, bint waits)
    cpdef bint at_once(self) except -1
    cpdef bint send_at_once(self, body) except -1
    cpdef bint send_next(self, given) except -1
    cpdef finish(self, error, bint whole)
    cpdef finish_on_loop(self, error, bint whole)
    cdef bint _conclude(self, error, bint whole) except -1
    cdef bint _send_file(self, wrapper) except -1
    cdef _promised(self, piece)
    cdef _require_start(self)
    @cython.locals(exchange=Exchange, data=bytes, done=bint, whole=bint)
    cpdef _flush(self)
    cdef _over(self)
    @cython.locals(exchange=Exchange)
    cdef _write(self, bytes data, bint last)
    @cython.locals(exchange=Exchange)
    cdef _write_file(self, file, bint last)


cdef _content_length(list headers)
cdef bint _checked(piece) except -1
