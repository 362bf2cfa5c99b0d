cdef class ServerLines:
    cdef bytes _server
    cdef bint _dates
    cdef readonly bytes more
    cdef readonly double begins
    cdef readonly double ends
    cdef readonly bytes date
    cdef readonly bytes date_and_server

    cpdef renew(self, double now)
    cpdef bytes beside(self, bint has_date, bint has_server)
    cpdef bytes of(self, double now)
