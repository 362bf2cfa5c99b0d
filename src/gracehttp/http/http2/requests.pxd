import cython

from gracehttp.http.head cimport RequestHead, RequestLine


cdef class Http2Head(RequestHead):
    cdef readonly bint connects
    cdef readonly object content_length
    cdef readonly bint expects_continue
    cdef readonly bint has_priority


@cython.locals(pseudo=dict, headers=list, hosts=list, cookies=list, head=Http2Head, size=Py_ssize_t, name=bytes, value=bytes)
cpdef Http2Head read_head(fields, bint secure, Py_ssize_t max_size, max_body_size)
@cython.locals(line=RequestLine)
cdef RequestLine _line(bytes method, bytes path)
cdef RequestLine _line_of_tunnel(bytes protocol, bytes path)
cdef _check_scheme(bytes scheme, bint secure)
cdef bytes _authority(authority, list hosts)
