cdef class WsgiApplication:
    cdef readonly str name
    cdef object _app
    cdef object _loop
    cdef object _on_idle
    cdef object _calls
    cdef set _timed
    cdef object _startup
    cdef object _shutdown
    cdef readonly object _pool
    cdef dict _template
    cdef set _waiters
    cdef readonly Py_ssize_t in_flight
