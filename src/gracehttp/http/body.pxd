cdef class RequestBody:
    cdef list _pieces
    cdef readonly Py_ssize_t buffered
    cdef public bint complete
    cdef public object trailers

    cpdef put(self, list pieces, bint complete)
    cpdef take(self)
