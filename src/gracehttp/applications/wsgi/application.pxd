import cython

from gracehttp.applications.wsgi cimport environ as environs
from gracehttp.applications.wsgi.in_flight cimport InFlight
from gracehttp.applications.wsgi.loop_calls cimport LoopCalls
from gracehttp.applications.wsgi.response cimport WsgiResponse
from gracehttp.applications.wsgi.threads cimport ThreadPool
from gracehttp.http.exchange cimport Exchange, RequestHandler


cdef class WsgiApplication(RequestHandler):
    cdef readonly str name
    cdef object _app
    cdef object _loop
    cdef LoopCalls _calls
    cdef InFlight _requests
    cdef object _on_end
    cdef object _lifespan
    cdef readonly ThreadPool _pool
    cdef dict _template
    cdef set _waiters

    cpdef handle(self, Exchange exchange)
    @cython.locals(call=_Call)
    cpdef _run(self, Exchange exchange, bytes body, bint more)


cdef class _Call:
    cdef WsgiApplication _application
    cdef Exchange _exchange
    cdef bytes _body
    cdef bint _more
    cdef readonly list job

    @cython.locals(application=WsgiApplication, exchange=Exchange, response=WsgiResponse)
    cdef _make(self)
