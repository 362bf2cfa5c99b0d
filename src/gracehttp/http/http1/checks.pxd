import cython


cdef class Framing:
    cdef readonly bytes host
    cdef readonly bint keep_alive
    cdef readonly bint says_close
    cdef readonly object content_length
    cdef readonly bint chunked
    cdef readonly bint expects_continue
    cdef readonly bint has_body
    cdef readonly bint upgrades


@cython.locals(framing=Framing, http11=bint)
cpdef Framing read_framing(http_version, fields)
cdef _read_connection(Framing framing, bytes value, bint http11)
cdef _read_content_length(Framing framing, bytes value)
cdef _read_expectations(Framing framing, list expectations)
