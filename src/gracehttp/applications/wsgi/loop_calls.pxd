cdef class LoopCalls:
    cdef object _loop
    cdef object _calls
    cdef bint _woken
    cdef object _made

    cpdef post(self, call)
