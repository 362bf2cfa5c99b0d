cdef class AsgiApplication:
    cdef readonly object name
    cdef readonly object app
    cdef readonly object lifespan
    cdef readonly dict state
    cdef readonly bint cancelled
    cdef object _loop
    cdef object _new_task
    cdef object _on_idle
    cdef object _context
    cdef dict _running

    cpdef handle(self, exchange)
    cpdef finished(self, cycle)
