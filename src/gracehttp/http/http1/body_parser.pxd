import cython

cdef class CountedBody:
    cdef list _pieces
    cdef readonly object missing_bytes
    cdef readonly bint complete
    cdef readonly list trailers


cdef class ChunkedBody:
    cdef object _max_header_size
    cdef object _max_body_size
    cdef int _state
    cdef bytes _line
    cdef object _left
    cdef object _size
    cdef object _excess
    cdef list _pieces
    cdef readonly bint complete
    cdef readonly object missing_bytes
    cdef readonly list trailers
