import cython

from gracehttp.net cimport system_calls


cdef class Pollable:
    cpdef ready(self, int events)


cdef class Poller:
    cdef public Py_ssize_t credit


cdef class EpollPoller(Poller):
    cdef object __weakref__
    cdef object _loop
    cdef object _epoll
    cdef int _fd
    cdef list _pollables
    cdef set _removed
    cdef object _failing_since

    @cython.locals(pollables=list)
    cpdef expect(self, int fd, pollable)
    cpdef add(self, int fd, pollable, int events)
    cpdef forget(self, int fd)
    cpdef change(self, int fd, int events)
    cpdef remove(self, int fd)
    @cython.locals(ready=list, pollable=Pollable)
    cpdef void _turn(self) except *
