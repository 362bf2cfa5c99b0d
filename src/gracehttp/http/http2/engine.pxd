cdef class Engine:
    cdef object _connection
    cdef object _highest
    cdef bint _mid_frame
    cdef bytes _rest
    cdef readonly object failed

    cpdef list receive(self, bytes data)
    cpdef list events(self)
    cpdef bytes output(self, Py_ssize_t most)
    cdef _fail(self, code)
    cpdef took(self, stream_id, size)
    cpdef inform(self, stream_id, fields)
    cpdef respond(self, stream_id, fields, bint end)
    cpdef send(self, stream_id, data, bint end)
    cpdef end(self, stream_id, trailers)
    cpdef Py_ssize_t waiting(self, stream_id) except -1
    cpdef window(self, stream_id)
    cpdef share(self, stream_id)
    cpdef reset(self, stream_id, code)
