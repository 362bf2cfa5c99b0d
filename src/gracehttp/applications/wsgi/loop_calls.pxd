cdef class LoopCalls:
    cdef object _loop
    cdef object _calls
    cdef bint _woken
