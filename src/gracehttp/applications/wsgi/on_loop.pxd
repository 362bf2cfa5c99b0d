cdef class CallsAtOnce:
    cdef object _loop

cdef class WsgiOnLoop:
    cdef readonly str name
    cdef object _app
    cdef readonly object loop
    cdef object _on_idle
    cdef object _calls
    cdef object _context
    cdef set _timed
    cdef object _startup
    cdef object _shutdown
    cdef dict _template
    cdef set _waiters
    cdef readonly Py_ssize_t in_flight

cdef class _Stream:
    cdef WsgiOnLoop _application
    cdef object _exchange
    cdef object _response
    cdef object _body
    cdef object _run
    cdef object _result
    cdef object _pieces
