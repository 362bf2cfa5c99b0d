cdef class FloodGuard:
    cdef double _waste
    cdef double _resets
    cdef double _looked_at

    cpdef earn(self, Py_ssize_t size)
    cpdef bint count(self, Py_ssize_t received, Py_ssize_t resets, double now) except -1
