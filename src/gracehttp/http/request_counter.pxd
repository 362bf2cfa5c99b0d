import cython


@cython.final
cdef class RequestCounter:
    cdef unsigned long long[::1] _requests
    cdef unsigned long long[::1] _durations
    cdef unsigned long long[::1] _body_bytes
    cdef double[::1] _bounds
    cdef Py_ssize_t _most
    cdef readonly object then

    @cython.locals(places=dict, place=Py_ssize_t, bound=Py_ssize_t, microseconds=cython.ulonglong)
    cpdef count(self, str method, int status, Py_ssize_t body_bytes, double seconds)
