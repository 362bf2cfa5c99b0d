import cython

from gracehttp.http.body cimport RequestBody
from gracehttp.http cimport fields as checked
from gracehttp.http.fields cimport ResponseFields
from gracehttp.http.head cimport RequestHead as Head  # under another name: `exchange` gives RequestHead to others
from gracehttp.http.request_counter cimport RequestCounter
from gracehttp.net cimport system_calls


cdef class Exchange


cdef class Carrier:
    cpdef body_wanted(self, Exchange exchange)
    cpdef body_taken(self, Exchange exchange)
    cpdef send_head(self, Exchange exchange, bytes data, bint end)
    cpdef send_body(self, Exchange exchange, bytes data, bint end)
    cpdef send_file(self, Exchange exchange, part, bint end)
    cpdef response_completed(self, Exchange exchange)
    cpdef cut(self, Exchange exchange, reason)


cdef class RequestHandler:
    cpdef handle(self, Exchange exchange)


cdef class Exchange:
    cdef public Head head
    cdef readonly RequestBody body
    cdef Carrier _carrier
    cdef object _observer
    cdef object _loop
    cdef public double started_at
    cdef bint _body_open
    cdef bint _blamed
    cdef bint _trailers_follow
    cdef long long _left
    cdef Waiters _waiters
    cdef readonly object body_length
    cdef readonly bint awaits_continue
    cdef readonly int status
    cdef public Py_ssize_t body_sent
    cdef public bint response_started
    cdef readonly bint head_sent
    cdef public bint response_complete
    cdef public bint disconnected
    cdef public bint half_closed
    cdef public bint application_ended
    cdef readonly bint timed_out
    cdef public object when_gone
    cdef public bint writable
    cdef readonly ResponseFields fields
    cdef readonly long long announced_length
    cdef readonly bint bodyless

    cpdef begin(
        self, Head head, RequestBody body, Carrier carrier, observer, loop, body_length, bint awaits_continue, bint writable
    )
    cpdef take_body(self)
    @cython.locals(fields=ResponseFields)
    cpdef start_response(self, status, headers, trailers=*)
    cpdef write(self, data, bint more)
    cpdef write_file(self, part, bint more)
    cdef bytes _announce(self, bytes data, bint end)
    cpdef end(self, error=*)
    cpdef body_arrived(self)
    cpdef set_writable(self, bint writable)
    cpdef disconnect(self)
    @cython.locals(counter=RequestCounter)
    cpdef bint finished(self, int status) except -1
    cdef _wake(self)


cdef class Waiters:
    cdef object _loop
    cdef readonly list _futures

    cpdef wake(self)


cdef bytes _as_bytes(data)
