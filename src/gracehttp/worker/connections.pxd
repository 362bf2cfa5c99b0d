import cython

from gracehttp.http.connection cimport Connection, Ends, ServerContext
from gracehttp.net.stream cimport PlainStream, StreamServices


cdef class Connections:
    cdef readonly set open
    cdef readonly long long accepted
    cdef readonly long long adopted
    cdef readonly long long handed_over
    cdef readonly set paces
    cdef public object request_finished
    cdef object _request_failed
    cdef object _address
    cdef int _family
    cdef public object _server
    cdef public object _servers
    cdef public object _tls
    cdef object _key_log
    cdef object _on_closed
    cdef object _on_rested
    cdef object _on_pace
    cdef object _publish
    cdef object _adjust_of
    cdef bint _told_of_fields
    cdef readonly dict _hosts
    cdef object _introducers
    cdef object _turned_away
    cdef object _plain_http
    cdef object _terms
    cdef object _untold
    cdef ServerContext _context
    cdef readonly StreamServices _streams

    @cython.locals(connection=Connection, stream=PlainStream)
    cdef _attach_plain(self, sock, peer)
    @cython.locals(connection=Connection, stream=PlainStream, ends=Ends)
    cdef tuple _connect(self, sock, peer, bint watched=*)
    cpdef connection_speaks(self, connection)
    cpdef connection_closed(self, connection)
