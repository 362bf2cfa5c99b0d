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
    #ifndef MSG_MORE
    #define MSG_MORE 0
    #endif

    #include <arpa/inet.h>
    #include <fcntl.h>
    #include <netinet/in.h>
    #include <netinet/tcp.h>
    #include <poll.h>
    #include <string.h>
    #include <time.h>
    #include <unistd.h>

    static double gracehttp_monotonic(void)
    {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);  /* does not fail with a clock that POSIX names */
        return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
    }

    /* Dotted-decimal (RFC 952), without the printf(3) that inet_ntop(3) takes for it. */
    static PyObject *gracehttp_ipv4(const unsigned char *address)
    {
        char host[INET_ADDRSTRLEN];
        int i, length = 0;

        for (i = 0; i < 4; i++) {
            unsigned part = address[i];
            if (i > 0)
                host[length++] = '.';
            if (part >= 100)
                host[length++] = '0' + part / 100;
            if (part >= 10)
                host[length++] = '0' + part / 10 % 10;
            host[length++] = '0' + part % 10;
        }
        return PyUnicode_DecodeLatin1(host, length, NULL);
    }

    /* Takes both references; NULL, with what is left of them given back, if one of them is NULL. */
    static PyObject *gracehttp_pair(PyObject *first, PyObject *second)
    {
        PyObject *pair = first == NULL || second == NULL ? NULL : PyTuple_New(2);

        if (pair == NULL) {
            Py_XDECREF(first);
            Py_XDECREF(second);
            return NULL;
        }
        PyTuple_SET_ITEM(pair, 0, first);
        PyTuple_SET_ITEM(pair, 1, second);
        return pair;
    }

    /* As the socket module has it; None for other families. */
    static PyObject *gracehttp_name(struct sockaddr_storage *name)
    {
        char host[INET6_ADDRSTRLEN];

        if (name->ss_family == AF_INET) {
            struct sockaddr_in *ip = (struct sockaddr_in *)name;
            return gracehttp_pair(gracehttp_ipv4((unsigned char *)&ip->sin_addr), PyLong_FromLong(ntohs(ip->sin_port)));
        }
        if (name->ss_family == AF_INET6) {
            struct sockaddr_in6 *ip = (struct sockaddr_in6 *)name;
            if (inet_ntop(AF_INET6, &ip->sin6_addr, host, sizeof host) == NULL)
                return PyErr_SetFromErrno(PyExc_OSError);
            return Py_BuildValue("(siII)", host, (int)ntohs(ip->sin6_port), (unsigned)ntohl(ip->sin6_flowinfo),
                                 (unsigned)ip->sin6_scope_id);
        }
        Py_RETURN_NONE;
    }

    static PyObject *gracehttp_accept(int fd)
    {
        struct sockaddr_storage name;
        socklen_t size = sizeof name;
        PyObject *client, *accepted;
        int descriptor;

        memset(&name, 0, sizeof name);
        do {
    #ifdef __linux__
            descriptor = accept4(fd, (struct sockaddr *)&name, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    #else
            descriptor = accept(fd, (struct sockaddr *)&name, &size);
    #endif
        } while (descriptor < 0 && errno == EINTR);
        if (descriptor < 0) {
            if (errno == EAGAIN || errno == EWOULDBLOCK)
                Py_RETURN_NONE;
            return PyErr_SetFromErrno(PyExc_OSError);
        }
    #ifndef __linux__
        if (fcntl(descriptor, F_SETFD, FD_CLOEXEC) < 0 || fcntl(descriptor, F_SETFL, O_NONBLOCK) < 0) {
            PyErr_SetFromErrno(PyExc_OSError);
            close(descriptor);
            return NULL;
        }
    #endif
        accepted = gracehttp_pair(PyLong_FromLong(descriptor), gracehttp_name(&name));
        if (accepted == NULL)
            close(descriptor);
        return accepted;
    }

    static int gracehttp_waiting(int fd)
    {
        struct pollfd readable = {fd, POLLIN, 0};
    #ifdef __linux__
        struct tcp_info info;
        socklen_t size = sizeof info;

        info.tcpi_unacked = 0;
        if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 && info.tcpi_unacked > 0)
            return (int)info.tcpi_unacked;
    #endif
        return poll(&readable, 1, 0) != 0 ? -1 : 0;  /* an error too, as `is_readable` has it */
    }

    #ifdef __linux__
    #include <stdint.h>
    #include <sys/syscall.h>
    #endif

    /* Whether the kernel has taken it. Of the struct sched_attr, what its first version has (sched_setattr(2)). */
    static int gracehttp_take_time_slice(unsigned long long nanoseconds)
    {
    #if defined(__linux__) && defined(SYS_sched_getattr) && defined(SYS_sched_setattr)
        struct {
            uint32_t size, policy;
            uint64_t flags;
            int32_t nice;
            uint32_t priority;
            uint64_t runtime, deadline, period;
        } attributes;

        memset(&attributes, 0, sizeof attributes);
        if (syscall(SYS_sched_getattr, 0, &attributes, (unsigned)sizeof attributes, 0u) != 0)
            return 0;
        if (attributes.policy != 0 && attributes.policy != 3)  /* SCHED_OTHER, SCHED_BATCH: others have none */
            return 0;
        attributes.runtime = nanoseconds;
        return syscall(SYS_sched_setattr, 0, &attributes, 0u) == 0;
    #else
        return 0;
    #endif
    }

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
    int MSG_MORE
    int SHUT_WR
    int c_shutdown "shutdown"(int fd, int how)
    ssize_t c_recv "recv"(int fd, void *buffer, size_t size, int flags)
    ssize_t c_read "read"(int fd, void *buffer, size_t size)
    ssize_t c_write "write"(int fd, const void *buffer, size_t size)
    ssize_t c_send "send"(int fd, const void *buffer, size_t size, int flags)
    list gracehttp_epoll_wait(int fd, int most)
    object gracehttp_accept(int fd)
    int gracehttp_waiting(int fd)
    double gracehttp_monotonic() noexcept
    bint gracehttp_take_time_slice(unsigned long long nanoseconds) noexcept

cdef enum:
    MOST_BYTES = 65536  # READ_BYTES


cdef inline double monotonic() noexcept:
    return gracehttp_monotonic()


cdef inline bint take_time_slice(unsigned long long nanoseconds) noexcept:
    return gracehttp_take_time_slice(nanoseconds)


cdef inline int waiting(object listener, int fd):
    return gracehttp_waiting(fd)


cdef inline object accept(object listener, int fd):
    if fd >= 0:
        return gracehttp_accept(fd)
    try:
        sock, client = listener.accept()
    except BlockingIOError:
        return None
    try:
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock.detach(), client


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


cdef inline Py_ssize_t send(object sock, int fd, object data, bint more) except -1:
    cdef ssize_t size
    if fd < 0 or type(data) is not bytes:
        try:
            return sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
    size = c_send(fd, PyBytes_AS_STRING(data), len(<bytes>data), MSG_NOSIGNAL | MSG_MORE if more else MSG_NOSIGNAL)
    if size >= 0:
        return size
    if errno == EAGAIN or errno == EINTR:
        return 0
    PyErr_SetFromErrno(OSError)
    return -1


cdef inline bint take_one(int eventfd) except -1:
    cdef unsigned long long count
    if c_read(eventfd, &count, 8) == 8:
        return True
    if errno == EAGAIN:
        return False
    PyErr_SetFromErrno(OSError)
    return -1


cdef inline int give_one(int eventfd) except -1:
    cdef unsigned long long count = 1
    if c_write(eventfd, &count, 8) != 8:
        PyErr_SetFromErrno(OSError)
        return -1
    return 0


cdef inline bint shut(object sock, int fd) except -1:
    if fd >= 0:
        return c_shutdown(fd, SHUT_WR) == 0
    try:
        sock.shutdown(SHUT_WR)
    except OSError:
        return False
    return True


cdef inline list ready(object epoll, int fd, int most):
    return gracehttp_epoll_wait(fd, most) if fd >= 0 else epoll.poll(0, most)
