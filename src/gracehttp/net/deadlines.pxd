cdef class Deadlines:
    cdef public double seconds
    cdef object _loop
    cdef readonly object now
    cdef object _order
    cdef readonly list _early
    cdef object _number
    cdef object _timer
    cdef double _armed_for

    cpdef add(self, item, double waited=*)
    cpdef discard(self, item)
    cdef _place_early(self, item, double when)
    cdef double _renewed(self, item, double when) except? -1
    cdef _forget_stale(self)
    cdef _first(self)
    cdef _arm(self, double when)
