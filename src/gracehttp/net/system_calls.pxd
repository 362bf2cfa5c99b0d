# See system_calls.py. The interpreter's lock is kept during the calls: they don't block, and to give it away and take
# it back would take as long as they do, and a turn of each thread that wants it.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_SetFromErrno
from libc.errno cimport EAGAIN, EINTR, errno

cdef extern from *:
    """
    #include <sys/types.h>
    #include <sys/socket.h>
    #ifndef MSG_NOSIGNAL
    #define MSG_NOSIGNAL 0  /* CPython ignores SIGPIPE from its start on */
    #endif

    #ifdef __linux__
    #include <sys/epoll.h>

    #define GRACEHTTP_MOST_EVENTS 128

    static PyObject *gracehttp_epoll_wait(int fd, int most)
    {
        struct epoll_event events[GRACEHTTP_MOST_EVENTS];
        PyObject *found;
        int i, count;

        if (most > GRACEHTTP_MOST_EVENTS)
            most = GRACEHTTP_MOST_EVENTS;
        count = epoll_wait(fd, events, most, 0);
        if (count < 0) {
            if (errno != EINTR)
                return PyErr_SetFromErrno(PyExc_OSError);
            count = 0;
        }
        found = PyList_New(count);
        for (i = 0; found != NULL && i < count; i++) {
            PyObject *event = PyTuple_New(2);
            if (event == NULL) {
                Py_CLEAR(found);
                break;
            }
            PyList_SET_ITEM(found, i, event);
            PyTuple_SET_ITEM(event, 0, PyLong_FromLong(events[i].data.fd));
            PyTuple_SET_ITEM(event, 1, PyLong_FromUnsignedLong(events[i].events));
            if (PyErr_Occurred())
                Py_CLEAR(found);
        }
        return found;
    }
    #else
    static PyObject *gracehttp_epoll_wait(int fd, int most)
    {
        PyErr_SetString(PyExc_NotImplementedError, "this system has no epoll");
        return NULL;
    }
    #endif
    """
    ctypedef Py_ssize_t ssize_t
    int MSG_NOSIGNAL
    ssize_t c_recv "recv"(int fd, void *buffer, size_t size, int flags)
    ssize_t c_send "send"(int fd, const void *buffer, size_t size, int flags)
    list gracehttp_epoll_wait(int fd, int most)

cdef enum:
    MOST_BYTES = 65536  # READ_BYTES


cdef inline bytes receive(object sock, int fd, bint much):
    cdef char[MOST_BYTES] buffer
    cdef ssize_t size
    if fd < 0 or much:
        try:
            return sock.recv(MOST_BYTES)
        except (BlockingIOError, InterruptedError):
            return None
    size = c_recv(fd, buffer, MOST_BYTES, 0)
    if size >= 0:
        return PyBytes_FromStringAndSize(buffer, size)
    if errno == EAGAIN or errno == EINTR:
        return None
    PyErr_SetFromErrno(OSError)


cdef inline Py_ssize_t send(object sock, int fd, object data) except -1:
    cdef ssize_t size
    if fd < 0 or type(data) is not bytes:
        try:
            return sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
    size = c_send(fd, PyBytes_AS_STRING(data), len(<bytes>data), MSG_NOSIGNAL)
    if size >= 0:
        return size
    if errno == EAGAIN or errno == EINTR:
        return 0
    PyErr_SetFromErrno(OSError)
    return -1


cdef inline list ready(object epoll, int fd, int most):
    return gracehttp_epoll_wait(fd, most) if fd >= 0 else epoll.poll(0, most)
