cdef class EpollPoller:
    cdef object __weakref__
    cdef object _loop
    cdef object _epoll
    cdef list _pollables
    cdef set _removed

    cpdef void _turn(self) except *
