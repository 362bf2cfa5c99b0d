import cython

from gracehttp.net cimport system_calls


cdef class EpollPoller:
    cdef object __weakref__
    cdef object _loop
    cdef object _epoll
    cdef int _fd
    cdef list _pollables
    cdef set _removed
    cdef object _failing_since
    cdef public Py_ssize_t credit

    @cython.locals(pollables=list)
    cpdef expect(self, int fd, pollable)
    cpdef add(self, int fd, pollable, int events)
    cpdef forget(self, int fd)
    cpdef change(self, int fd, int events)
    cpdef remove(self, int fd)
    @cython.locals(ready=list)
    cpdef void _turn(self) except *
