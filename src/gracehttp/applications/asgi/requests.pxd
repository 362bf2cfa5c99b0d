import cython

from gracehttp.applications.asgi cimport interpreter_calls
from gracehttp.applications.asgi.application cimport AsgiApplication
from gracehttp.http.exchange cimport Exchange
from gracehttp.http.head cimport RequestLine


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

    @cython.locals(exchange=Exchange, given=dict)
    cpdef send(self, message)


cdef class Sent:
    pass


cdef dict _scope_template(RequestLine line)
