from gracehttp.http.exchange cimport RequestHandler
from gracehttp.http.server_fields cimport ServerLines
from gracehttp.net.deadlines cimport Deadlines, Place


cdef class ServerContext:
    cdef readonly RequestHandler application
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
    cdef public bint adjusts_unforwarded
    cdef public bint others_accept
    cdef dict _others


cdef class Ends:
    cdef readonly object host
    cdef readonly object server
    cdef readonly object adjust
    cdef readonly object proxied


cdef class Connection(Place):
    cdef readonly ServerContext context
    cdef public Ends ends
    cdef readonly object stream
    cdef readonly object protocol
    cdef public object tls
    # There are thousands of these: the small ones stand together, and are as small as they can be.
    cdef public int port
    cdef signed char _terms
    cdef signed char _moved

    cpdef set_up(self, ServerContext context, Ends ends, int port)
    cpdef begin(self, stream)
    cpdef switch(self, to, rest=*)
    cpdef stream_closed(self)
    cpdef lose_protocol(self)
    cpdef timed_out(self)
