import cython

from gracehttp.http.connection cimport Connection, ServerContext
from gracehttp.http.exchange cimport Exchange
from gracehttp.http.head cimport RequestHead
from gracehttp.http.http2.engine cimport Engine
from gracehttp.http.http2.guard cimport FloodGuard
from gracehttp.http.http2.requests cimport Http2Head, read_head
from gracehttp.http.http2.stream cimport Http2Stream
from gracehttp.http.server_fields cimport ServerLines
from gracehttp.net.deadlines cimport Deadlines
from gracehttp.net.stream cimport SocketStream


cdef class Http2Protocol:
    cdef readonly Connection connection
    cdef readonly Engine engine
    cdef readonly FloodGuard guard
    cdef readonly ServerLines server_lines
    cdef readonly dict blocked
    cdef ServerContext _context
    cdef SocketStream _stream
    cdef bint _secure
    cdef Py_ssize_t _max_header_size
    cdef object _max_body_size
    cdef Py_ssize_t _max_streams
    cdef int _state
    cdef dict _streams
    cdef list _begun
    cdef list _abandoned
    cdef Py_ssize_t _resets
    cdef bint _flush_due
    cdef bint _last_response
    cdef bint _rests
    cdef bint _input_over
    cdef bint _paused
    cdef bint _sent_all
    cdef Deadlines _waits

    cpdef received(self, bytes data)
    cpdef writable_again(self)
    cdef _act(self, list events)
    @cython.locals(stream=Http2Stream, head=Http2Head)
    cdef _request_received(self, event)
    @cython.locals(connection=Connection)
    cdef _introduce(self, RequestHead head)
    @cython.locals(context=ServerContext, exchange=Exchange)
    cdef _begin(self, Http2Stream stream, RequestHead head, body_length, bint shares, bint expects_continue)
    @cython.locals(stream=Http2Stream, exchange=Exchange, begun=list)
    cdef _hand_on(self)
    @cython.locals(stream=Http2Stream)
    cdef _stream_closed(self, event)
    cpdef flush_soon(self)
    cpdef _flush_if_due(self)
    @cython.locals(engine=Engine, stream=SocketStream, data=bytes, drained=bint, one=Http2Stream)
    cdef _flush(self)
    cdef _write_out(self)
    @cython.locals(pause=bint)
    cdef _regulate_reading(self)
    cpdef took(self, Http2Stream stream, size)
    cpdef answering(self, bint closes)
    cpdef finished(self, Http2Stream stream, Exchange exchange)
    cpdef abandon(self, Exchange exchange)
    cdef _wait_no_more(self)
    cdef _look_for_rest(self)
    cpdef await_body(self, Http2Stream stream)
    cpdef await_client(self, Http2Stream stream)
    cpdef wait_no_more(self, Http2Stream stream)
    cdef _wait_to_read_no_more(self, Http2Stream stream)
    cdef _wait_to_write_no_more(self, Http2Stream stream)


@cython.locals(size=Py_ssize_t, name=bytes, value=bytes)
cdef Py_ssize_t size_of(fields) except -1
