import cython

from gracehttp.http.fields cimport ResponseFields
from gracehttp.http.http1 cimport framing as framings


@cython.locals(latest=tuple, head=bytes)
cpdef bytes response_head(
    int status, ResponseFields fields, int framing, long long length, bint http11, bint closes, bytes ours
)
cpdef bytes interim_head(int status, ResponseFields fields, bytes ours=*)
cpdef bytes framing_line(int framing, int status, long long content_length)
cpdef bytes connection_line(bint http11, bint close, bytes upgrade=*)
cpdef bytes status_line(int status)
