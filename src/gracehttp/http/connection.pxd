from gracehttp.net.deadlines cimport Deadlines


cdef class ServerContext:
    cdef readonly object application
    cdef readonly object settings
    cdef readonly object owner
    cdef readonly object loop
    cdef readonly Deadlines idle
    cdef readonly Deadlines head
    cdef readonly Deadlines body
    cdef readonly Deadlines handshake
    cdef dict _others


cdef class Connection:
    cdef readonly ServerContext context
    cdef readonly object client
    cdef readonly object server
    cdef readonly object stream
    cdef readonly object protocol
    cdef readonly object terms
    cdef readonly bint moved
