import cython

from gracehttp.applications.asgi cimport interpreter_calls


cdef class FirstSteps:
    cdef object _loop
    cdef dict _attributes
    cdef object _capture
    cdef dict _options
    cdef object _step
    cdef object _before
    cdef dict _current

    @cython.locals(attributes=dict, options=dict)
    cpdef take(self, coroutine, context)


cdef class TaskRegister:
    cdef object _tasks
    cdef set _members
    cdef set _readers
    cdef list _removals
    cdef object _gone
