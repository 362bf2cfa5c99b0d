import cython


cdef class RequestLine:
    cdef readonly str method
    cdef readonly bytes target
    cdef readonly str http_version
    cdef readonly bint http10
    cdef readonly str path
    cdef readonly bytes raw_path
    cdef readonly bytes query_string
    cdef readonly bytes authority
    cdef readonly str root_path
    cdef readonly bytes raw_root_path
    cdef public dict derived
    cdef public dict environ

    @cython.locals(line=RequestLine)
    cpdef RequestLine under(self, str root_path, bytes raw_root_path)


cdef class KeptFields:
    cdef public tuple derived
    cdef public tuple environ


cdef class RequestHead:
    cdef public RequestLine line
    cdef public list headers
    cdef public str scheme
    cdef public object client
    cdef public object server
    cdef public object tls
    cdef public object echoed
    cdef public KeptFields kept
    cdef readonly bint _cut


cdef class RefusedHead(RequestHead):
    cdef str _method
    cdef bytes _target
