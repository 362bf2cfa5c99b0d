import cython

from gracehttp.http.head cimport RequestHead, RequestLine
from gracehttp.http.http1.checks cimport Framing


cdef class Http1Head(RequestHead):
    cdef readonly Framing framing


@cython.locals(head=Http1Head, line=RequestLine, lines=list, headers=list)
cpdef Http1Head parse_head(bytes block, str scheme)
cpdef Py_ssize_t skip_empty_lines(bytes data, Py_ssize_t start) except -1
