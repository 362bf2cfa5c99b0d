import cython


cdef class ThreadPool:
    cdef Py_ssize_t _size
    cdef Py_ssize_t _started
    cdef readonly object _jobs
    cdef public object _parked
    cdef bint _waking
    cdef Py_ssize_t _empty
    cdef readonly list calls
    cdef readonly Py_ssize_t submitted
    cdef readonly Py_ssize_t finished
    cdef list _when_free

    cpdef submit(self, list job)
    cdef _wake(self)
    cpdef bint take_back(self, list job) except -1
    cpdef job_ended(self)
    @cython.locals(calls=list)
    cpdef _work(self, Py_ssize_t number)
