import cython

from gracehttp.http.head cimport KeptFields, RequestHead, RequestLine
from gracehttp.http.http1.checks cimport Framing


cdef Py_ssize_t _MOST_REMEMBERED
cdef Py_ssize_t _LONGEST_REMEMBERED
cdef Py_ssize_t _LONGEST_LATEST
cdef Py_ssize_t _LONGEST_FIRST
cdef unsigned char _CR
cdef unsigned char _QUESTION_MARK


cdef class Http1Head(RequestHead):
    cdef readonly Framing framing
    cdef readonly bint unforwarded


cdef class LatestFields:
    cdef readonly bytes block
    cdef readonly bytes whole
    cdef readonly RequestLine line
    cdef readonly list headers
    cdef readonly Framing framing
    cdef readonly bint unforwarded
    cdef readonly bint examined
    cdef readonly KeptFields kept
    cdef public tuple client

    cpdef keep(self, bytes block, Http1Head head)
    cpdef examine(self)
    cdef hold(self, Http1Head head)
    @cython.locals(head=Http1Head)
    cdef Http1Head again(self, str scheme, RequestLine line)
    cpdef forget(self)


cdef dict _first_heads


@cython.locals(line=RequestLine, first=bytes, size=Py_ssize_t)
cpdef Http1Head parse_known_head(bytes block, str scheme, LatestFields latest)
@cython.locals(head=Http1Head, line=RequestLine, lines=list, headers=list)
cpdef Http1Head parse_head(bytes block, str scheme, LatestFields latest=*)
@cython.locals(found=LatestFields)
cpdef Http1Head find_first_head(bytes block, str scheme)
@cython.locals(line=RequestLine, first=LatestFields)
cpdef remember_first_head(bytes block, Http1Head head)
cpdef Py_ssize_t skip_empty_lines(bytes data, Py_ssize_t start) except -1
