import cython


cdef tuple _latest


@cython.locals(known=dict)
cpdef int status_code(status) except -1
@cython.locals(result=list, field=tuple, known=dict, latest=tuple, all_known=bint)
cpdef list wire_headers(headers)
cdef tuple _wire_field(pair)
cdef bint _is_remembered(tuple field) except -1
