import cython

from gracehttp.http.exchange cimport Exchange
from gracehttp.http.fields cimport ResponseFields
from gracehttp.http.server_fields cimport ServerLines


cpdef tuple status_field(status)
cpdef list pairs(ResponseFields fields)
@cython.locals(found=list, line=bytes, name=bytes, value=bytes)
cdef list _pairs(bytes block)
@cython.locals(fields=ResponseFields, found=list, ours=bytes)
cpdef list response_fields(Exchange exchange, ServerLines added, double now)
