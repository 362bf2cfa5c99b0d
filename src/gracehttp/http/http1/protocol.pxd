import cython

from gracehttp.http.body cimport RequestBody
from gracehttp.http.connection cimport Connection, ServerContext
from gracehttp.http.exchange cimport Carrier, Exchange
from gracehttp.http.fields cimport ResponseFields
from gracehttp.http.http1 cimport framing as framings
from gracehttp.http.http1 cimport octets
from gracehttp.http.http1 cimport parser as heads
from gracehttp.http.http1.checks cimport Framing
from gracehttp.http.http1.parser cimport Http1Head, LatestFields
from gracehttp.http.http1.response cimport interim_head, response_head
from gracehttp.http.http1.response_body cimport (
    choose_framing,
    chunk,
    chunk_end,
    chunk_pieces,
    chunk_size,
    last_chunk,
)
from gracehttp.http.server_fields cimport ServerLines
from gracehttp.net.deadlines cimport Deadlines
from gracehttp.net.stream cimport SocketStream


cdef signed char IDLE
cdef signed char READING_HEAD
cdef signed char ANSWERING
cdef signed char DISCARDING
cdef signed char OVER
cdef unsigned char _CR
cdef Py_ssize_t _SHORT_HEAD_BYTES
cdef Py_ssize_t _UNPARSED_HIGH_WATER_BYTES
cdef Py_ssize_t _DISCARD_LIMIT_BYTES
cdef Py_ssize_t _JOIN_LIMIT_BYTES


cdef class Http1Protocol(Carrier):
    cdef public Connection connection
    cdef ServerContext _context
    cdef SocketStream _stream
    cdef LatestFields _latest
    cdef object _body
    cdef Exchange _exchange
    cdef bytes _head
    cdef readonly bytes _unparsed
    cdef readonly Deadlines _waits
    cdef double _head_began_at
    # There are as many of these as connections, so they are in the order that leaves no gaps, and as small as they can.
    cdef int _look_again_at
    cdef int _discarded
    cdef readonly int _taken
    cdef signed char _phase
    cdef signed char _framing
    cdef signed char _secure
    cdef signed char _fresh
    cdef signed char _keep_alive
    cdef signed char _continue_owed
    cdef signed char _closes
    cdef signed char _last_response
    cdef signed char _leaving
    cdef signed char _paused
    cdef signed char _held_back
    cdef signed char _upgradable

    cpdef received(self, bytes data)
    cpdef ended(self)
    cpdef writable_again(self)
    @cython.locals(search=Py_ssize_t, end=Py_ssize_t, size=Py_ssize_t, latest=LatestFields, known=Http1Head, scheme=str)
    cdef _read_head(self, bytes data, Py_ssize_t start)
    @cython.locals(size=Py_ssize_t, limit=Py_ssize_t)
    cdef _await_head(self, bytes data)
    cdef Http1Head _parse(self, bytes block)
    @cython.locals(framing=Framing, body=RequestBody, context=ServerContext, connection=Connection, exchange=Exchange, latest=LatestFields)
    cdef _begin_request(self, Http1Head head)
    cdef RequestBody _begin_body(self, Framing framing)
    cdef _read_body(self, parser, bytes data)
    cdef _pass_on_body(self, Exchange exchange, parser)
    cdef _await_body(self, RequestBody body)
    cdef _discard(self, parser)
    cdef _next_request(self)
    cpdef _parse_waiting(self)
    cpdef _tell_rest(self)
    @cython.locals(exchange=Exchange, pause=bint)
    cdef _regulate_reading(self)
    cpdef _wait(self, Deadlines deadlines, double waited=*)
    cdef _wait_no_more(self)
    cpdef timed_out(self)
    cdef bint _is_late(self) except -1
    cpdef body_wanted(self, Exchange exchange)
    cpdef body_taken(self, Exchange exchange)
    @cython.locals(
        fields=ResponseFields, length=longlong, http11=bint, framing=int, closes=bint, added=ServerLines, now=double, latest=tuple, head=bytes
    )
    cpdef send_head(self, Exchange exchange, bytes data, bint end)
    @cython.locals(framing=int)
    cpdef send_body(self, Exchange exchange, bytes data, bint end)
    @cython.locals(framing=int)
    cpdef send_file(self, Exchange exchange, part, bint end)
    cpdef response_completed(self, Exchange exchange)
    cpdef cut(self, Exchange exchange, reason)
    cdef _finish(self, bint linger)
    cdef bint _ends_here(self, bint response_ends) except -1
    cdef _refuse(self, status, reason, lines=*)
    cdef _give_up(self, Exchange exchange, status=*)
    cdef _report_refused(self, head, status, body_bytes)
    cpdef lost(self)
