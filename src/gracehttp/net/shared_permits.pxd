import cython

from gracehttp.net cimport system_calls

cdef unsigned long long _HELD_MASK
cdef unsigned long long _WORD_MASK
cdef unsigned long long _ODD


cdef class SharedPermits:
    cdef readonly object page
    cdef int _free
    cdef int _owed
    cdef Py_ssize_t _slot
    cdef unsigned long long[::1] _entries
    cdef unsigned long long[::1] _debts
    cdef readonly unsigned long long _no_debt_at
    cdef unsigned long long _entry

    @cython.locals(entry="unsigned long long", taken=bint)
    cpdef bint take(self) except -1
    @cython.locals(entry="unsigned long long")
    cpdef give_back(self)
    @cython.locals(sequence="unsigned long long")
    cdef bint _pay(self) except -1
    cpdef bint may_pass_on(self) except -1
    cpdef _open_entry(self)
    cpdef _close_entry(self, long long change)
