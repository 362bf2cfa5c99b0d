# See octets.py.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.string cimport memcpy


cdef inline bytes joined(bytes first, bytes second):
    cdef Py_ssize_t size = len(first)
    both = PyBytes_FromStringAndSize(NULL, size + len(second))
    memcpy(PyBytes_AS_STRING(both), PyBytes_AS_STRING(first), size)
    memcpy(PyBytes_AS_STRING(both) + size, PyBytes_AS_STRING(second), len(second))
    return both
