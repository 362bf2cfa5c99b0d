import cython

from gracehttp.http.head cimport KeptFields, RequestHead, RequestLine


@cython.locals(kept=KeptFields, line=RequestLine, environ=dict, derived=dict, known=dict, found=tuple)
cpdef dict build_environ(RequestHead head, dict template, body)
cdef dict _of_the_line(RequestLine line)
cdef dict _of_the_rest(RequestHead head, dict template)
