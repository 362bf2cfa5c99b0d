import cython

from gracehttp.net.deadlines cimport Deadlines
from gracehttp.net.stream cimport PlainStream, SocketStream

cdef Py_ssize_t _RECORD_HEADER_BYTES
cdef Py_ssize_t _MOST_CONTENT_BYTES
cdef Py_ssize_t _ENCRYPT_BYTES


cdef class RecordCounter:
    cdef Py_ssize_t _missing
    cdef bytes _header
    cdef readonly bint at_boundary

    @cython.locals(size=Py_ssize_t, at=Py_ssize_t, taken=Py_ssize_t, wanted=Py_ssize_t)
    cpdef count(self, bytes data)


cdef class TlsStream(SocketStream):
    cdef PlainStream _plain
    cdef object _context
    cdef bytes _first
    cdef object _incoming
    cdef object _outgoing
    cdef object _tls
    cdef object _engine
    cdef object _witness
    cdef object _continued
    cdef object _mover
    cdef RecordCounter _records
    cdef Deadlines _handshakes
    cdef public object _on_open
    cdef object _answer_plain
    cdef object _owner
    cdef bint _paused
    cdef bint _choked
    cdef bint _undelivered
    cdef bint _asked
    cdef bint _said_goodbye
    cdef object _unencrypted
    cdef readonly Py_ssize_t _unencrypted_bytes
    cdef bint _lingers
    cdef public object consumer

    @cython.locals(records=RecordCounter, size=Py_ssize_t, whole=bint, content=bytes)
    cpdef received(self, bytes data)
    cpdef ended(self)
    cdef _go_on_shaking(self, bytes data)
    cdef _read_nothing(self, error)
    cdef _answer(self)
    cdef bint _shake_hands(self, bytes data) except -1
    cdef _end_handshake(self)
    @cython.locals(size=Py_ssize_t, data=bytes, rest=bint)
    cdef _deliver(self)
    cpdef _deliver_rest(self)
    cdef _end_input(self)
    @cython.locals(plain=PlainStream)
    cpdef write(self, data)
    cpdef write_last(self, data)
    cpdef close(self, bint linger)
    cpdef flush(self)
    cpdef writable_again(self)
    cdef _encrypt(self, data, bint last=*)
    cdef _flush(self)
    cdef _say_goodbye(self)
