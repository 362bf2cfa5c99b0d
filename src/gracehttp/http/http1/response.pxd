cpdef int choose_framing(bint bodyless, bint http11, content_length)
cpdef bytes framing_line(int framing, int status, content_length)
cpdef bytes connection_line(bint http11, bint close, bytes upgrade=*)
cpdef bytes status_line(int status)


cdef class ServerLines:
    cdef readonly double begins
    cdef readonly double ends
    cdef readonly bytes date
    cdef readonly bytes date_and_server

    cpdef renew(self, double now)
    cpdef bytes beside(self, bint has_date, bint has_server)
