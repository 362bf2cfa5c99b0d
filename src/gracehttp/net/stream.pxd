import cython

from gracehttp.net cimport system_calls
from gracehttp.net.deadlines cimport Deadlines
from gracehttp.net.poller cimport Pollable, Poller, tell

cdef Py_ssize_t _MUCH_BYTES
cdef int READABLE, WRITABLE, BROKEN, HALF_CLOSED


cdef class StreamServices:
    cdef readonly object loop
    cdef public Poller poller
    cdef public object on_failure
    cdef public Deadlines stall
    cdef public Deadlines linger
    cdef public long long received_bytes
    cdef public long long sent_bytes


cdef class SocketStream(Pollable):
    cdef readonly bint writable
    cdef readonly bint input_over
    cdef readonly bint half_closed

    cpdef write(self, data)
    cpdef write_last(self, data)
    cpdef close(self, bint linger)


cdef class PlainStream(SocketStream):
    cdef readonly object _socket
    cdef readonly StreamServices services
    cdef public object consumer
    cdef public object owner
    cdef object _unsent
    cdef object _held
    cdef object _ending
    cdef object _stall
    cdef readonly Py_ssize_t unsent_bytes
    cdef int _fd
    cdef short _events
    cdef signed char _much
    cdef signed char _watched
    cdef readonly bint closed
    cdef readonly bint shut

    @cython.locals(poller=Poller)
    cpdef set_up(self, sock, StreamServices services, consumer, owner, bint watched)
    cdef int _descriptor(self) except? -1
    @cython.locals(data=bytes)
    cpdef ready(self, int events)
    @cython.locals(poller=Poller)
    cpdef begin(self)
    @cython.locals(poller=Poller, size=Py_ssize_t)
    cpdef write(self, data)
    cpdef write_last(self, data)
    @cython.locals(services=StreamServices, poller=Poller, sent=Py_ssize_t, size=Py_ssize_t)
    cpdef flush(self, bint last=*)
    cpdef failed(self)
    cpdef write_file(self, part)
    cpdef pause_reading(self)
    cpdef resume_reading(self)
    cdef _end_input(self)
    cdef _wait(self, bint full)
    @cython.locals(poller=Poller)
    cdef _send_waiting(self)
    cdef _all_sent(self)
    cpdef close(self, bint linger)
    cpdef close_until(self, bint linger, client_ended)
    cpdef shut_our_half(self)
    cpdef abort(self)
    cdef _break(self, error)
    cpdef _lose(self)
    cpdef _lose_after(self, error)
    @cython.locals(poller=Poller)
    cdef _close(self)
    cdef _close_descriptor(self)
    cdef _forget(self)
    cdef _watch(self, int events)
