# See interpreter_calls.py.

from cpython.contextvars cimport PyContext_Copy, PyContext_Enter, PyContext_Exit
from cpython.dict cimport PyDict_CheckExact, PyDict_Next, PyDict_Size
from cpython.object cimport PyObject, PyObject_Call
from cpython.weakref cimport PyWeakref_NewRef

cdef extern from "Python.h":
    unsigned long PyThread_get_thread_ident()
    Py_ssize_t Py_REFCNT(PyObject* to)
    object PyMethod_New(object function, object to)


cdef enum:
    IN_C = 1


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


cdef inline object made_in(object context, object make, object of, dict keywords):
    PyContext_Enter(context)
    try:
        return PyObject_Call(make, (of,), keywords)
    finally:
        PyContext_Exit(context)


cdef inline object bound(object function, object to):
    return PyMethod_New(function, to)


cdef inline object reference(object to, object gone):
    return PyWeakref_NewRef(to, gone)


cdef inline bint is_free_copy(dict made, dict of):
    cdef PyObject *key
    cdef PyObject *value
    cdef PyObject *own_key
    cdef PyObject *own_value
    cdef Py_ssize_t at = 0
    cdef Py_ssize_t own_at = 0
    cdef Py_ssize_t left = PyDict_Size(of)
    if Py_REFCNT(<PyObject*>made) != 2 or PyDict_Size(made) != left:
        return False
    while left:
        PyDict_Next(of, &at, &key, &value)
        PyDict_Next(made, &own_at, &own_key, &own_value)
        if own_key != key or own_value != value:
            return False
        left -= 1
    return True


cdef inline bint is_free_of_dicts(dict made, tuple names):
    cdef PyObject *key
    cdef PyObject *value
    cdef Py_ssize_t at = 0
    cdef Py_ssize_t place = 0
    cdef Py_ssize_t size = len(names)
    if Py_REFCNT(<PyObject*>made) != 2 or PyDict_Size(made) != size:
        return False
    while place < size:
        PyDict_Next(made, &at, &key, &value)
        if key != <PyObject*>names[place] or Py_REFCNT(value) != 1 or not PyDict_CheckExact(<object>value):
            return False
        if PyDict_Size(<object>value):
            return False
        place += 1
    return True
