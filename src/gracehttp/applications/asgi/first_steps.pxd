cdef class FirstSteps:
    cdef object _loop
    cdef object _capture
    cdef object _step
    cdef object _before

    cpdef take(self, coroutine, context)
    cdef _make(self, coroutine, context)
