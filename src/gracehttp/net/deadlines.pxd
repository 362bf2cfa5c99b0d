import cython


cdef class Place:
    cdef readonly Place before
    cdef readonly Place after
    cdef readonly Deadlines waits_in
    cdef readonly double due_at
    cdef public double renewed_at

    cpdef timed_out(self)


cdef class _Held(Place):
    cdef readonly object item

    cpdef timed_out(self)


cdef class Deadlines:
    cdef public double seconds
    cdef object _loop
    cdef readonly object now
    cdef Place _first
    cdef Place _last
    cdef Py_ssize_t _length
    cdef dict _held
    cdef readonly list _early
    cdef object _number
    cdef object _timer
    cdef double _armed_for

    @cython.locals(when=double, place=Place)
    cpdef add(self, item, double waited=*)
    @cython.locals(place=Place)
    cpdef discard(self, item)
    cdef Place _place_of(self, item)
    @cython.locals(last=Place)
    cdef _link(self, Place place, double when)
    @cython.locals(before=Place, after=Place)
    cdef _unlink(self, Place place)
    cdef _remove(self, Place place)
    cdef _place_early(self, Place place, double when)
    cdef bint _is_current(self, double when, Place place) except -1
    cdef double _renewed(self, Place place) except? -1
    cdef _forget_stale(self)
    @cython.locals(first=Place)
    cdef Place _next(self)
    cdef _arm(self, double when)
