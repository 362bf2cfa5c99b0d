from gracehttp.http.exchange cimport Exchange


cdef class InFlight:
    cdef readonly Py_ssize_t count
    cdef object _on_idle
    cdef set _timed

    cpdef begin(self, Exchange exchange)
    cpdef end(self)
