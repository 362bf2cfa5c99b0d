import cython

from gracehttp.applications cimport interpreter_calls


cdef bint _HAS_EAGER_START


cdef class TaskRegister


cdef class FirstSteps:
    cdef object _loop
    cdef dict _attributes
    cdef object _capture
    cdef dict _options
    cdef object _step
    cdef object _context
    cdef object _before
    cdef dict _current
    cdef TaskRegister _register

    cpdef take(self, coroutine, context)
    cpdef keep(self, task)
    @cython.locals(attributes=dict, register=TaskRegister)
    cpdef begin(self, coroutine, context)


cdef class TaskRegister:
    cdef object _tasks
    cdef object _members
    cdef set _readers
    cdef list _removals
    cdef object _gone
    cdef public unsigned long expects_in
    cdef public object newest

    cpdef put_newest(self)
    cpdef keep(self, task)
