from gracehttp.http.exchange cimport Exchange


cdef class RequestCycle:
    cdef object __weakref__
    cdef object _application
    cdef Exchange _exchange
    cdef bint _body_taken
    cdef bint _told
    cdef readonly bint begun
