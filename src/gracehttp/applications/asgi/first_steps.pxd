cdef class FirstSteps:
    cdef object _loop
    cdef object _capture
    cdef object _step

    cpdef take(self, coroutine, context)
    cdef _make(self, coroutine, context)
