import cython


cdef int _PLAIN
cdef int _CONTENT_LENGTH
cdef int _TRANSFER_ENCODING
cdef int _CONNECTION
cdef int _DATE
cdef int _SERVER
cdef int _UPGRADE
cdef int _HOP_BY_HOP
cdef Py_ssize_t _LONGEST_REMEMBERED
cdef Py_ssize_t _LONGEST_KNOWN_LENGTH
cdef Py_ssize_t _MOST_FIELDS_REMEMBERED


cdef class ResponseFields:
    cdef readonly bytes block
    cdef readonly bint closes
    cdef readonly long long content_length
    cdef readonly bint has_date
    cdef readonly bint has_server
    cdef readonly object dropped
    cdef readonly bytes upgrade
    cdef readonly bint shared
    cdef readonly tuple latest_head
    cdef readonly tuple latest_last_head
    cdef readonly list given

    @cython.locals(known_lines=dict, known_lengths=dict, lines=list, shared=bint)
    cdef bytes _take(self, headers)
    cdef bytes _read(self, name, value)
    cdef bint _note(self, int meaning, name, value) except -1


cdef ResponseFields _latest


@cython.locals(given=tuple, known=ResponseFields, latest=ResponseFields, known_fields=dict)
cpdef ResponseFields response_fields(headers)
cdef int _examine_name(name) except -1
cdef _parse_content_length(value)
