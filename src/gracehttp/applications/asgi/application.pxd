import cython

from gracehttp.applications cimport interpreter_calls
from gracehttp.applications.asgi.first_steps cimport FirstSteps
from gracehttp.http.exchange cimport Exchange, RequestHandler


cdef class AsgiApplication(RequestHandler)  # before what needs it in turn


from gracehttp.applications.asgi.requests cimport Given, RequestCycle


cdef class AsgiApplication(RequestHandler):
    cdef readonly object name
    cdef readonly object app
    cdef readonly object lifespan
    cdef readonly dict state
    cdef readonly bint cancelled
    cdef readonly unsigned long thread
    cdef object _loop
    cdef FirstSteps _first_steps
    cdef object _on_idle
    cdef object _context
    cdef dict _running
    cdef Given given

    @cython.locals(cycle=RequestCycle)
    cpdef handle(self, Exchange exchange)
    cpdef finished(self, cycle)
