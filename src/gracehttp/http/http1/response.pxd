cpdef int choose_framing(bint bodyless, bint http11, long long content_length)
cpdef bytes framing_line(int framing, int status, long long content_length)
cpdef bytes connection_line(bint http11, bint close, bytes upgrade=*)
cpdef bytes status_line(int status)
