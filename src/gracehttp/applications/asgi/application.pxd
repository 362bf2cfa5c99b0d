from gracehttp.applications.asgi.first_steps cimport FirstSteps


cdef class AsgiApplication:
    cdef readonly object name
    cdef readonly object app
    cdef readonly object lifespan
    cdef readonly dict state
    cdef readonly bint cancelled
    cdef readonly object thread
    cdef object _loop
    cdef FirstSteps _first_steps
    cdef object _on_idle
    cdef object _context
    cdef dict _running

    cpdef handle(self, exchange)
    cdef _start(self, cycle)
    cpdef finished(self, cycle)
