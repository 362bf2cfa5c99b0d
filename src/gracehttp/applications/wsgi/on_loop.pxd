import cython

from gracehttp.applications cimport interpreter_calls
from gracehttp.applications.wsgi cimport environ as environs
from gracehttp.applications.wsgi.in_flight cimport InFlight
from gracehttp.applications.wsgi.response cimport WsgiResponse
from gracehttp.http.exchange cimport Exchange, RequestHandler


cdef class CallsAtOnce:
    cdef object _loop

cdef class WsgiOnLoop(RequestHandler):
    cdef readonly str name
    cdef object _app
    cdef readonly object loop
    cdef CallsAtOnce _calls
    cdef object _context
    cdef InFlight _requests
    cdef object _on_end
    cdef object _lifespan
    cdef dict _template
    cdef set _waiters

    cpdef handle(self, Exchange exchange)
    @cython.locals(response=WsgiResponse, environ=dict)
    cpdef _answer(self, Exchange exchange, body, bint counted)

cdef class _Stream:
    cdef WsgiOnLoop _application
    cdef Exchange _exchange
    cdef WsgiResponse _response
    cdef object _body
    cdef object _run
    cdef object _result
    cdef object _pieces
