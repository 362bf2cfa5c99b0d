from gracehttp.http.server_fields cimport ServerLines
from gracehttp.net.deadlines cimport Deadlines


cdef class ServerContext:
    cdef readonly object application
    cdef readonly object settings
    cdef readonly Py_ssize_t max_header_size_bytes
    cdef readonly object owner
    cdef readonly object loop
    cdef readonly Deadlines idle
    cdef readonly Deadlines head
    cdef readonly Deadlines body
    cdef readonly Deadlines handshake
    cdef readonly Deadlines introduction
    cdef readonly ServerLines server_lines
    cdef dict _others


cdef class Connection:
    cdef readonly ServerContext context
    cdef public object client
    cdef public object server
    cdef readonly object stream
    cdef readonly object protocol
    cdef readonly object terms
    cdef readonly bint moved
    cdef public object adjust
    cdef public bint adjusts_unforwarded
    cdef public object proxied
    cdef public object tls
