import cython

from gracehttp.net cimport system_calls


cdef class Pollable:
    cpdef ready(self, int events)
    cpdef flush(self)
    cpdef failed(self)


cpdef tell(Pollable pollable, int events)


cdef class Poller:
    cdef readonly object _loop
    cdef readonly object _brief
    cdef readonly object _long
    cdef bint _called
    cdef public Py_ssize_t credit
    cdef readonly bint crowded
    cdef readonly bint holding
    cdef readonly list held
    cdef readonly bint turning
    cdef double _held_since
    cdef double _holds_from

    cpdef add(self, int fd, pollable, int events)
    cpdef expect(self, int fd, pollable)
    cpdef forget(self, int fd)
    cpdef change(self, int fd, int events)
    cpdef remove(self, int fd)
    cpdef line_up(self, Pollable pollable, Py_ssize_t size)
    @cython.locals(pollable=Pollable)
    cpdef void _take_turns(self) except *
    cpdef send_soon(self)
    @cython.locals(held=list, pollable=Pollable, sent=Py_ssize_t)
    cpdef send_held(self)
    cpdef _pass_is_over(self)
    cdef _took(self, double seconds)


cdef class EpollPoller(Poller):
    cdef object __weakref__
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
    @cython.locals(ready=list, pollable=Pollable, before=double, since=double, now=double,
                   brief=double, much=double)
    cpdef void _turn(self) except *
