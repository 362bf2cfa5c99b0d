/* Makes one system call of one process fail, as the page says that a test writes. To be preloaded (ld.so(8)).

   Each process that is started with it maps the page whose path is in FAILING_CALLS. While the page is armed, the
   process with the PID in it counts its calls by name and by kind of descriptor. Of those that the page names, the one
   that is due fails with the error in the page and never reaches the kernel, or, "short", it moves one byte only.
   `failing_calls.py` has the same layout and the same order of names; it compiles this.

   The interpreter and uvloop come by the wrappers of the C library to nearly all system calls that they make. What the
   C library calls itself (malloc, the start of a thread) isn't seen; threads have a wrapper of their own here. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* The order of the names is that of CALLS in failing_calls.py, the order of the kinds that of KINDS. */
enum call {
    ACCEPT, CONNECT, DUP, EPOLL_CREATE, EPOLL_CTL, EPOLL_WAIT, EVENTFD, EVENTFD_READ, EVENTFD_WRITE, EXECVE, FORK,
    FTRUNCATE, GETPEERNAME, GETSOCKNAME, MEMFD_CREATE, MMAP, OPEN, PIPE, POLL, READ, RECV, RECVMSG, SEND, SENDMSG,
    SETSOCKOPT, SHUTDOWN, SOCKET, SOCKETPAIR, THREAD, WAIT, WRITE, CALLS
};
enum kind { ANY, NO_DESCRIPTOR, TCP, UNIX_STREAM, UNIX_SEQPACKET, PIPE_END, REGULAR, OTHER, KINDS };
enum { SHORT = -1 };

struct page {
    _Atomic int armed;
    _Atomic int pid;
    _Atomic int call;
    _Atomic int kind;
    _Atomic int error;
    _Atomic int skip;  /* calls that pass before the one that is due */
    _Atomic int times; /* how many fail then */
    _Atomic int struck;
    _Atomic int disarmed_by_exec;
    _Atomic int until_hello; /* nothing counts before the process has sent its first message on a Unix socket */
    _Atomic unsigned counts[CALLS][KINDS];
};

static struct page *page;
static char where[4096];

/* The interpreter's own way to write a stack without taking a lock; NULL in programs that aren't Python. */
extern void _Py_DumpTraceback(int fd, void *thread) __attribute__((weak));
extern void *PyGILState_GetThisThreadState(void) __attribute__((weak));

#define REAL(name) ((__typeof__(&name))real(#name, &real_##name))
#define DECLARE_REAL(name) static void *_Atomic real_##name

static void *real(const char *name, void *_Atomic *found) {
    if (!*found)
        *found = dlsym(RTLD_NEXT, name);
    return *found;
}

__attribute__((constructor)) static void map_page(void) {
    const char *path = getenv("FAILING_CALLS");
    if (!path)
        return;
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    void *mapped = (void *)syscall(SYS_mmap, 0, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (mapped == MAP_FAILED)
        return;
    snprintf(where, sizeof where, "%s.where", path);
    page = mapped;
    /* The scene is one of a service that serves. Another image of the same process has yet to start. */
    if (page->armed && !page->until_hello && page->pid == (int)syscall(SYS_getpid)) {
        page->armed = 0;
        page->disarmed_by_exec = 1;
    }
}

static enum kind kind_of(int fd) {
    int value = 0;
    socklen_t size = sizeof value;
    struct stat status;

    if (fd < 0)
        return NO_DESCRIPTOR;
    if (syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &value, &size) == 0) {
        if (value != AF_UNIX)
            return TCP;
        size = sizeof value;
        syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &value, &size);
        return value == SOCK_SEQPACKET ? UNIX_SEQPACKET : UNIX_STREAM;
    }
    if (syscall(SYS_fstat, fd, &status) < 0)
        return OTHER;
    return S_ISFIFO(status.st_mode) ? PIPE_END : S_ISREG(status.st_mode) ? REGULAR : OTHER;
}

static void tell_where(void) {
    if (!_Py_DumpTraceback || !PyGILState_GetThisThreadState)
        return;
    void *thread = PyGILState_GetThisThreadState();
    int fd = syscall(SYS_openat, AT_FDCWD, where, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    if (thread)
        _Py_DumpTraceback(fd, thread);
    syscall(SYS_close, fd);
}

/* 0: let it pass. SHORT, or the error to give. */
static int due(enum call call, int fd, int never_blocks) {
    struct page *p = page;
    int saved = errno;
    int given = 0;

    if (!p || !p->armed || p->pid != (int)syscall(SYS_getpid))
        goto out;
    enum kind kind = kind_of(fd);
    if (p->until_hello) {
        if (kind != UNIX_STREAM || (call != SEND && call != SENDMSG))
            goto out;
        p->until_hello = 0;
    }
    p->counts[call][kind]++;
    if ((int)call != p->call || (p->kind != ANY && (int)kind != p->kind))
        goto out;
    /* A descriptor that blocks never gives EAGAIN. */
    if (p->error == EAGAIN && fd >= 0 && !never_blocks && !(syscall(SYS_fcntl, fd, F_GETFL) & O_NONBLOCK))
        goto out;
    if (atomic_fetch_sub(&p->skip, 1) > 0)
        goto out;
    if (atomic_fetch_sub(&p->times, 1) <= 0)
        goto out;
    given = p->error;
    tell_where();
    p->struck++;
out:
    errno = saved;
    return given;
}

#define FAIL_IF_DUE(call, fd, failed)                                                                                  \
    do {                                                                                                               \
        int error_ = due(call, fd, 0);                                                                                 \
        if (error_) {                                                                                                  \
            errno = error_;                                                                                            \
            return failed;                                                                                             \
        }                                                                                                              \
    } while (0)

#define SIMPLE(type, name, call, fd, parameters, arguments)                                                            \
    DECLARE_REAL(name);                                                                                                \
    type name parameters {                                                                                             \
        FAIL_IF_DUE(call, fd, -1);                                                                                     \
        return REAL(name) arguments;                                                                                   \
    }

/* With a size that a short call makes 1. */
#define SIZED(name, call, fd, flags, size, parameters, arguments)                                                      \
    DECLARE_REAL(name);                                                                                                \
    ssize_t name parameters {                                                                                          \
        int error_ = due(call, fd, (flags) & MSG_DONTWAIT);                                                            \
        if (error_ == SHORT) {                                                                                         \
            size = size ? 1 : 0;                                                                                       \
        } else if (error_) {                                                                                           \
            errno = error_;                                                                                            \
            return -1;                                                                                                 \
        }                                                                                                              \
        return REAL(name) arguments;                                                                                   \
    }

SIMPLE(int, accept, ACCEPT, fd, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n))
SIMPLE(int, accept4, ACCEPT, fd, (int fd, struct sockaddr *a, socklen_t *n, int flags), (fd, a, n, flags))
SIMPLE(int, connect, CONNECT, fd, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
SIMPLE(int, dup, DUP, -1, (int fd), (fd))
SIMPLE(int, dup2, DUP, -1, (int fd, int to), (fd, to))
SIMPLE(int, dup3, DUP, -1, (int fd, int to, int flags), (fd, to, flags))
SIMPLE(int, epoll_create1, EPOLL_CREATE, -1, (int flags), (flags))
SIMPLE(int, epoll_wait, EPOLL_WAIT, -1, (int fd, struct epoll_event *e, int n, int ms), (fd, e, n, ms))
SIMPLE(int, epoll_pwait, EPOLL_WAIT, -1, (int fd, struct epoll_event *e, int n, int ms, const sigset_t *s),
       (fd, e, n, ms, s))
SIMPLE(int, eventfd, EVENTFD, -1, (unsigned count, int flags), (count, flags))
SIMPLE(int, eventfd_read, EVENTFD_READ, fd, (int fd, eventfd_t *value), (fd, value))
SIMPLE(int, eventfd_write, EVENTFD_WRITE, fd, (int fd, eventfd_t value), (fd, value))
SIMPLE(int, execve, EXECVE, -1, (const char *path, char *const a[], char *const e[]), (path, a, e))
SIMPLE(pid_t, fork, FORK, -1, (void), ())
SIMPLE(int, ftruncate, FTRUNCATE, -1, (int fd, off_t size), (fd, size))
SIMPLE(int, ftruncate64, FTRUNCATE, -1, (int fd, off64_t size), (fd, size))
SIMPLE(int, getpeername, GETPEERNAME, fd, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n))
SIMPLE(int, getsockname, GETSOCKNAME, fd, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n))
SIMPLE(int, memfd_create, MEMFD_CREATE, -1, (const char *name, unsigned flags), (name, flags))
SIMPLE(int, pipe, PIPE, -1, (int ends[2]), (ends))
SIMPLE(int, pipe2, PIPE, -1, (int ends[2], int flags), (ends, flags))
SIMPLE(int, poll, POLL, -1, (struct pollfd *fds, nfds_t n, int ms), (fds, n, ms))
SIMPLE(int, setsockopt, SETSOCKOPT, fd, (int fd, int level, int name, const void *value, socklen_t n),
       (fd, level, name, value, n))
SIMPLE(int, shutdown, SHUTDOWN, fd, (int fd, int how), (fd, how))
SIMPLE(int, socket, SOCKET, -1, (int domain, int type, int protocol), (domain, type, protocol))
SIMPLE(int, socketpair, SOCKETPAIR, -1, (int domain, int type, int protocol, int ends[2]), (domain, type, protocol, ends))
SIMPLE(pid_t, waitpid, WAIT, -1, (pid_t pid, int *status, int options), (pid, status, options))
SIMPLE(pid_t, wait4, WAIT, -1, (pid_t pid, int *status, int options, struct rusage *usage),
       (pid, status, options, usage))
SIMPLE(int, waitid, WAIT, -1, (idtype_t type, id_t id, siginfo_t *info, int options), (type, id, info, options))

SIZED(read, READ, fd, 0, size, (int fd, void *buffer, size_t size), (fd, buffer, size))
SIZED(recv, RECV, fd, flags, size, (int fd, void *buffer, size_t size, int flags), (fd, buffer, size, flags))
SIZED(recvfrom, RECV, fd, flags, size,
      (int fd, void *buffer, size_t size, int flags, struct sockaddr *a, socklen_t *n), (fd, buffer, size, flags, a, n))
SIZED(send, SEND, fd, flags, size, (int fd, const void *buffer, size_t size, int flags), (fd, buffer, size, flags))
SIZED(sendto, SEND, fd, flags, size,
      (int fd, const void *buffer, size_t size, int flags, const struct sockaddr *a, socklen_t n),
      (fd, buffer, size, flags, a, n))
SIZED(write, WRITE, fd, 0, size, (int fd, const void *buffer, size_t size), (fd, buffer, size))
SIZED(writev, WRITE, fd, 0, count, (int fd, const struct iovec *pieces, int count), (fd, pieces, count))

DECLARE_REAL(recvmsg);
ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
    struct iovec first;
    int error_ = due(RECVMSG, fd, flags & MSG_DONTWAIT);
    if (error_ == SHORT && message->msg_iovlen && message->msg_iov[0].iov_len) {
        struct msghdr one = *message;
        first = message->msg_iov[0];
        first.iov_len = 1;
        one.msg_iov = &first;
        one.msg_iovlen = 1;
        ssize_t received = REAL(recvmsg)(fd, &one, flags);
        message->msg_controllen = one.msg_controllen;
        message->msg_namelen = one.msg_namelen;
        message->msg_flags = one.msg_flags;
        return received;
    }
    if (error_ > 0) {
        errno = error_;
        return -1;
    }
    return REAL(recvmsg)(fd, message, flags);
}

DECLARE_REAL(sendmsg);
ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    struct iovec first;
    int error_ = due(SENDMSG, fd, flags & MSG_DONTWAIT);
    if (error_ == SHORT && message->msg_iovlen && message->msg_iov[0].iov_len) {
        struct msghdr one = *message;
        first = message->msg_iov[0];
        first.iov_len = 1;
        one.msg_iov = &first;
        one.msg_iovlen = 1;
        return REAL(sendmsg)(fd, &one, flags);
    }
    if (error_ > 0) {
        errno = error_;
        return -1;
    }
    return REAL(sendmsg)(fd, message, flags);
}

/* To forget a descriptor can't fail, and only to watch one more can meet the limit of epoll(7). */
DECLARE_REAL(epoll_ctl);
int epoll_ctl(int fd, int operation, int target, struct epoll_event *event) {
    int limit = page && page->error == ENOSPC;
    if (operation == EPOLL_CTL_ADD || (operation == EPOLL_CTL_MOD && !limit))
        FAIL_IF_DUE(EPOLL_CTL, target, -1);
    return REAL(epoll_ctl)(fd, operation, target, event);
}

/* Of fcntl only the copy of a descriptor needs room. */
#define FCNTL(name)                                                                                                    \
    DECLARE_REAL(name);                                                                                                \
    int name(int fd, int command, ...) {                                                                               \
        va_list rest;                                                                                                  \
        va_start(rest, command);                                                                                       \
        long argument = va_arg(rest, long);                                                                            \
        va_end(rest);                                                                                                  \
        if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)                                                          \
            FAIL_IF_DUE(DUP, -1, -1);                                                                                  \
        return REAL(name)(fd, command, argument);                                                                      \
    }
FCNTL(fcntl)
FCNTL(fcntl64)

#define MODE(mode)                                                                                                     \
    int mode = 0;                                                                                                      \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                                               \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode = va_arg(rest, int);                                                                                      \
        va_end(rest);                                                                                                  \
    }
#define OPEN_AS(name)                                                                                                  \
    DECLARE_REAL(name);                                                                                                \
    int name(const char *path, int flags, ...) {                                                                       \
        MODE(mode)                                                                                                     \
        FAIL_IF_DUE(OPEN, -1, -1);                                                                                     \
        return REAL(name)(path, flags, mode);                                                                          \
    }
#define OPENAT_AS(name)                                                                                                \
    DECLARE_REAL(name);                                                                                                \
    int name(int folder, const char *path, int flags, ...) {                                                           \
        MODE(mode)                                                                                                     \
        FAIL_IF_DUE(OPEN, -1, -1);                                                                                     \
        return REAL(name)(folder, path, flags, mode);                                                                  \
    }
OPEN_AS(open)
OPEN_AS(open64)
OPENAT_AS(openat)
OPENAT_AS(openat64)

DECLARE_REAL(fopen64);
FILE *fopen64(const char *path, const char *mode) {
    FAIL_IF_DUE(OPEN, -1, NULL);
    return REAL(fopen64)(path, mode);
}

#define MMAP_AS(name, offset_type)                                                                                     \
    DECLARE_REAL(name);                                                                                                \
    void *name(void *at, size_t size, int protection, int flags, int fd, offset_type offset) {                         \
        FAIL_IF_DUE(MMAP, -1, MAP_FAILED);                                                                             \
        return REAL(name)(at, size, protection, flags, fd, offset);                                                    \
    }
MMAP_AS(mmap, off_t)
MMAP_AS(mmap64, off64_t)

DECLARE_REAL(pthread_create);
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*begin)(void *), void *argument) {
    int error_ = due(THREAD, -1, 0);
    return error_ ? error_ : REAL(pthread_create)(thread, attributes, begin, argument);
}
