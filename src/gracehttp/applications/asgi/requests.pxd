import cython

from gracehttp.applications cimport interpreter_calls


cdef class RequestCycle  # before what needs it in turn
cdef class Given
cdef class Sent


from gracehttp.applications.asgi.application cimport AsgiApplication
from gracehttp.http.exchange cimport Exchange
from gracehttp.http.head cimport KeptFields, RequestHead, RequestLine


cdef dict _ASGI
cdef tuple _EXTENSIONS
cdef Sent _SENT
cdef object _receive
cdef object _send


cdef class RequestCycle:
    cdef AsgiApplication _application
    cdef Exchange _exchange
    cdef bint _body_taken
    cdef bint _told
    cdef bint _receives
    cdef bint _gone
    cdef readonly bint begun
    cdef public bint waits
    cdef readonly bint ended
    cdef tuple _trailers

    cpdef begin(self, AsgiApplication application, Exchange exchange)
    @cython.locals(exchange=Exchange, given=dict)
    cpdef send(self, message)


cdef class Given:
    cdef readonly dict asgi
    cdef readonly dict state
    cdef readonly dict extensions

    @cython.locals(own=dict)
    cdef bint fit(self, dict state) except -1
    @cython.locals(asgi=dict, own=dict, extensions=dict)
    cdef bint are_free(self, dict state) except -1


cdef class Sent:
    pass


@cython.locals(given=Given)
cdef Given _give(AsgiApplication application, dict scope)
cdef _take_back(AsgiApplication application, Given given)
@cython.locals(line=RequestLine, kept=KeptFields, found=tuple, known=dict, template=dict, scope=dict)
cdef dict _new_scope(RequestHead head)
cdef dict _scope_of_line(RequestLine line)
