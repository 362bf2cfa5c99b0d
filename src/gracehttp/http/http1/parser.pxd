import cython

from gracehttp.http.head cimport KeptFields, RequestHead, RequestLine
from gracehttp.http.http1.checks cimport Framing


cdef class Http1Head(RequestHead):
    cdef readonly Framing framing
    cdef readonly bint unforwarded


cdef class LatestFields:
    cdef readonly bytes block
    cdef readonly bytes first
    cdef readonly RequestLine line
    cdef readonly list headers
    cdef readonly Framing framing
    cdef readonly bint unforwarded
    cdef readonly bint examined
    cdef readonly KeptFields kept
    cdef public tuple client

    cpdef keep(self, bytes block, Http1Head head)
    cpdef examine(self)
    cpdef forget(self)


@cython.locals(head=Http1Head, line=RequestLine, first=bytes, size=Py_ssize_t)
cpdef Http1Head parse_known_head(bytes block, str scheme, LatestFields latest)
@cython.locals(head=Http1Head, line=RequestLine, lines=list, headers=list)
cpdef Http1Head parse_head(bytes block, str scheme, LatestFields latest=*)
cpdef Py_ssize_t skip_empty_lines(bytes data, Py_ssize_t start) except -1
