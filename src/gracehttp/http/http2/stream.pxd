import cython

from gracehttp.http.exchange cimport Carrier, Exchange
from gracehttp.http.http2.engine cimport Engine
from gracehttp.http.http2.guard cimport FloodGuard
from gracehttp.http.http2.responses cimport pairs, response_fields, status_field
from gracehttp.http.server_fields cimport ServerLines


cdef class Http2Stream(Carrier):
    cdef object _protocol
    cdef Engine _engine
    cdef FloodGuard _guard
    cdef ServerLines _server_lines
    cdef readonly object id
    cdef public Exchange exchange
    cdef public bint input_open
    cdef public bint complete
    cdef public bint reset
    cdef public bint connects
    cdef public object tunnel
    cdef readonly bint waits
    cdef readonly Py_ssize_t received
    cdef readonly Py_ssize_t untaken
    cdef public bint waits_to_read
    cdef public bint waits_to_write
    cdef bint _continue_owed
    cdef bint _shares
    cdef Py_ssize_t _given
    cdef Py_ssize_t _sent
    cdef object _unqueued
    cdef bint _ends
    cdef bint _ended_apart
    cdef object _trailers

    cpdef begin(self, Exchange exchange, bint shares, bint continue_owed)
    @cython.locals(size=Py_ssize_t, exchange=Exchange)
    cpdef put(self, data, bint end)
    cpdef put_trailers(self, fields)
    @cython.locals(size=Py_ssize_t)
    cpdef give_back(self)
    @cython.locals(exchange=Exchange)
    cpdef bint awaits_client(self) except -1
    cpdef body_wanted(self, Exchange exchange)
    cpdef body_taken(self, Exchange exchange)
    cpdef send_head(self, Exchange exchange, bytes data, bint end)
    cpdef send_body(self, Exchange exchange, bytes data, bint end)
    cpdef send_file(self, Exchange exchange, part, bint end)
    cpdef response_completed(self, Exchange exchange)
    cpdef cut(self, Exchange exchange, reason)
    @cython.locals(size=Py_ssize_t)
    cpdef send_bytes(self, data, bint end)
    cdef _queue_more(self)
    cdef _end_apart(self)
    @cython.locals(waiting=Py_ssize_t, sent=Py_ssize_t, went_on=bint)
    cpdef bint look(self) except -1
    @cython.locals(exchange=Exchange)
    cpdef give_up(self, status=*)
