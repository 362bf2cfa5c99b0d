# See interpreter_calls.py.

from cpython.contextvars cimport PyContext_Copy, PyContext_Enter, PyContext_Exit
from cpython.object cimport PyObject_Call
from cpython.weakref cimport PyWeakref_NewRef

cdef extern from "Python.h":
    unsigned long PyThread_get_thread_ident()


cdef inline unsigned long thread() noexcept:
    return PyThread_get_thread_ident()


cdef inline object copied(object context):
    return PyContext_Copy(context)


cdef inline int run_in(object context, object step) except -1:
    PyContext_Enter(context)
    try:
        step()
    finally:
        PyContext_Exit(context)
    return 0


cdef inline object call_in(object context, object call, object first, object second):
    PyContext_Enter(context)
    try:
        return call(first, second)
    finally:
        PyContext_Exit(context)


cdef inline object call_by(object call, tuple arguments, dict keywords):
    return PyObject_Call(call, arguments, keywords)


cdef inline object reference(object to, object gone):
    return PyWeakref_NewRef(to, gone)
