# See framing.py.

cdef enum:
    NO_BODY = 0
    COUNTED = 1
    CHUNKED = 2
    UNTIL_CLOSE = 3
