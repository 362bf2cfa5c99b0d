cdef class ThreadPool:
    cdef Py_ssize_t _size
    cdef Py_ssize_t _started
    cdef readonly object _jobs
    cdef public object _idle
    cdef Py_ssize_t _empty
    cdef readonly list calls
    cdef readonly Py_ssize_t submitted
    cdef readonly Py_ssize_t finished
    cdef list _when_free

    cpdef job_ended(self)
    cpdef submit(self, list job)
    cpdef bint take_back(self, list job) except -1
