from gracehttp.http.http1 cimport framing as framings


cpdef int choose_framing(bint bodyless, bint http11, long long content_length)
cpdef bytes chunk(bytes data, bint end)
cpdef list chunk_pieces(bytes data, bint end)
cpdef bytes chunk_size(Py_ssize_t size)
cpdef bytes chunk_end(bint end)
cpdef bytes last_chunk(bytes trailers)
