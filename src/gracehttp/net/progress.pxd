cdef class Progress:
    cdef object _socket
    cdef object _unsent
    cdef object _acknowledged

    cpdef bint went_on(self, waiting_bytes) except -1
    cdef _look(self, waiting_bytes)
