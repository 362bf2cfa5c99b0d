import cython

from gracehttp.applications cimport interpreter_calls
from gracehttp.applications.asgi.first_steps cimport FirstSteps


cdef class AsgiApplication  # before what needs it in turn


from gracehttp.applications.asgi.requests cimport RequestCycle


cdef class AsgiApplication:
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

    @cython.locals(cycle=RequestCycle)
    cpdef handle(self, exchange)
    cpdef finished(self, cycle)
