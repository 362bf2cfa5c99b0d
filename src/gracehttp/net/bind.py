"""Making listening sockets, and saying clearly why one can't be made."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterable
from pathlib import Path

from gracehttp.errors import ListenError
from gracehttp.hints import Named, hint
from gracehttp.net.activation import named, passed_descriptors
from gracehttp.net.address import Address, DescriptorAddress, TcpAddress, UnixAddress
from gracehttp.net.port_owner import OURSELVES, SUPERVISOR, owner_of_port
from gracehttp.net.syn_filter import admit_new_connections
from gracehttp.net.unix_files import bind_file, own_file, remove_stale_file
from gracehttp.system.credentials import Credentials

_ALL_IPV6 = "::"


def open_listener(
    address: Address, *, backlog: int, unix_mode: int | None = None, ipv6_alone: bool = False
) -> socket.socket:
    """Bind and listen; returns a non-blocking, non-inheritable socket that the caller owns.

    All IPv6 addresses, `[::]`, take IPv4 clients too, unless `ipv6_alone` (ipv6(7), IPV6_V6ONLY). `backlog` is the
    length of the accept queue, which the kernel cuts at net.core.somaxconn (listen(2)).
    Raises `ListenError` with the cause in a sentence.
    """
    match address:
        case TcpAddress():
            sock = _bind_tcp(address, ipv6_alone=ipv6_alone)
        case UnixAddress():
            sock = _bind_unix(address, unix_mode)
        case DescriptorAddress():
            return _adopt(address)
    with contextlib.ExitStack() as on_error:
        on_error.callback(sock.close)
        try:
            sock.listen(backlog)
        except OSError as exc:  # another socket listens on the port, though binding with SO_REUSEADDR went well
            raise _cannot_bind(address, exc) from exc
        sock.setblocking(False)
        on_error.pop_all()
    return sock


def resolve(address: TcpAddress) -> tuple[int, tuple[str, int]]:
    """Address family and socket address of `address`; an empty host is all IPv4 addresses. Raises `ListenError`."""
    host = address.host or "0.0.0.0"  # noqa: S104  all interfaces is what ":PORT" says
    try:
        found = socket.getaddrinfo(
            # Text would be encoded by IDNA (RFC 3490), whose tables each supervisor would keep.
            host.encode() if host.isascii() else host,
            address.port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
    except (socket.gaierror, UnicodeError, LookupError) as exc:  # LookupError: the codec IDNA is not there any more
        raise ListenError(
            f"cannot listen on {address}: the host name {address.host!r} can't be resolved ({exc}).",
            hint="give an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all",
        ) from exc
    family, _, _, _, where = min(found, key=lambda one: one[0] != socket.AF_INET)  # "localhost" is 127.0.0.1 first
    return family, (str(where[0]), address.port)


def bound_address(sock: socket.socket) -> str:
    """Where the socket really listens, with the port that the kernel chose."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        path = name if isinstance(name, str) else os.fsdecode(name)
        return f"unix:{path}"
    return str(TcpAddress(name[0], name[1]))


FileIdentity = tuple[int, int]


def file_identity(address: Address) -> FileIdentity | None:
    """Device and inode of the file of a Unix socket: call it right after the bind. None for other addresses."""
    if not isinstance(address, UnixAddress):
        return None
    found = Path(address.path).stat()
    return found.st_dev, found.st_ino


def give_to(address: UnixAddress, owner: Credentials) -> None:
    """Give the file of a Unix socket to `owner`, and nothing that was put in its place. Raises `ListenError`."""
    try:
        own_file(address.path, owner.uid, owner.gid)
    except OSError as exc:
        raise ListenError(f"cannot give {address} to {owner.name}: {exc.strerror}.") from exc


def remove_socket_file(address: Address, identity: FileIdentity | None) -> None:
    """Remove the file of a Unix socket, unless another program has put its own in its place."""
    with contextlib.suppress(OSError):
        if isinstance(address, UnixAddress) and identity is not None and file_identity(address) == identity:
            Path(address.path).unlink()


def _bind_tcp(address: TcpAddress, *, ipv6_alone: bool) -> socket.socket:
    family, where = resolve(address)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted sockets inherit it (tcp(7)), which saves a system call for each connection.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if where[0] == _ALL_IPV6:
            # Said in any case: the default is a matter of the machine (net.ipv6.bindv6only).
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, ipv6_alone)
        sock.bind(where)
    except OSError as exc:
        sock.close()
        raise _cannot_bind(address, exc) from exc
    return sock


def takes_ipv6_alone(listener: socket.socket) -> bool | None:
    """Whether a listener on all IPv6 addresses leaves IPv4 to others; None for any other listener."""
    if listener.family != socket.AF_INET6 or listener.getsockname()[0] != _ALL_IPV6:
        return None
    return bool(listener.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))


def must_take_ipv6_alone(address: Address, others: Iterable[Address]) -> bool:
    """Whether `address` is all IPv6 addresses, and one of `others` is an IPv4 address with the same port: they could
    not both listen otherwise. Raises `ListenError` if a name can't be resolved."""
    if not isinstance(address, TcpAddress) or not address.port or ":" not in address.host:
        return False
    if resolve(address)[1][0] != _ALL_IPV6:
        return False
    same_port = [one for one in others if isinstance(one, TcpAddress) and one.port == address.port]
    return any(resolve(one)[0] == socket.AF_INET for one in same_port)


def _bind_unix(address: UnixAddress, mode: int | None) -> socket.socket:
    if _is_socket_file(address):
        with contextlib.suppress(OSError):  # bind() will tell
            remove_stale_file(address.path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bind_file(sock, address.path, mode)
    except OSError as exc:
        sock.close()
        raise _cannot_bind(address, exc) from exc
    return sock


def _is_socket_file(address: UnixAddress) -> bool:
    """Whether there is a socket, False if there is nothing. Raises `ListenError` for any other file."""
    try:
        mode = Path(address.path).stat().st_mode
    except OSError:
        return False
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"cannot listen on {address}: the file exists and is no socket.", hint="choose another path")
    return True


def _folder(address: UnixAddress) -> str:
    return os.path.dirname(address.path) or "."


_adopted: set[int] = set()
"""Descriptors that this process has inherited, and that its children must not inherit."""


def _was_inherited(fd: int) -> bool:
    """Whether `fd` is open and was inherited. Descriptors that this process opens aren't inheritable (PEP 446)."""
    try:
        return fd in _adopted or os.get_inheritable(fd)
    except OSError:
        return False


def _adopt(address: DescriptorAddress) -> socket.socket:
    if address.name:
        address = _find_named(address)
    sock = _inherited(address)
    _adopted.add(address.fd)
    os.set_inheritable(address.fd, False)
    admit_new_connections(sock)  # a service that ended without its supervisor may have left its filter there
    sock.setblocking(False)
    return sock


def _find_named(address: DescriptorAddress) -> DescriptorAddress:
    """The same address by its number. Raises `ListenError`."""
    match named(address.name):
        case [fd]:
            return DescriptorAddress(fd)
        case []:
            passed = ", ".join(name for name, _ in passed_descriptors(os.environ, os.getpid()))
            there = f"it passed {passed}" if passed else "it passed none"
            raise ListenError(
                f"cannot listen on {address}: the service manager passed no socket of that name.",
                hint=f"{there}; FileDescriptorName= in the .socket unit gives one its name",
            )
        case several:
            numbers = ", ".join(f"fd://{fd}" for fd in several)
            raise ListenError(
                f"cannot listen on {address}: {len(several)} sockets have that name.",
                hint=f"name them by their numbers: {numbers}",
            )


def _inherited(address: DescriptorAddress) -> socket.socket:
    """A copy of the descriptor, if it is a socket that listens. Raises `ListenError`."""
    if not _was_inherited(address.fd):
        raise ListenError(
            f"cannot listen on {address}: descriptor {address.fd} was not inherited.",
            hint="the program that starts gracehttp must open it and let it be inherited",
        )
    try:
        sock = socket.socket(fileno=os.dup(address.fd))
        listening = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as exc:
        raise ListenError(
            f"cannot listen on {address}: descriptor {address.fd} is no socket ({exc.strerror}).",
            hint="the program that starts gracehttp must open a listening socket there",
        ) from exc
    if not listening:
        sock.close()
        raise ListenError(f"cannot listen on {address}: the socket doesn't listen.", hint="call listen() on it first")
    return sock


def _cannot_bind(address: Address, exc: OSError) -> ListenError:
    advice = ""
    match exc.errno:
        case errno.EADDRINUSE:
            owner = owner_of_port(address.port) if isinstance(address, TcpAddress) else None
            if owner == OURSELVES:
                reason = "this program listens there itself already"
                advice = hint("leave one of the two out, or choose another address with {}", Named("bind"))
            else:
                reason = f"it is in use by {owner}" if owner else "it is in use by another process"
                advice = hint("stop that process, or choose another address with {}", Named("bind"))
                if owner is not None and owner.endswith(f"({SUPERVISOR})"):
                    pid = owner.split()[1]
                    commands = f"gracehttp restart --pid {pid} brings new code, gracehttp stop --pid {pid} ends it"
                    advice = hint(f"it serves already: {commands}; or choose another address with {{}}", Named("bind"))
        case errno.EACCES if isinstance(address, TcpAddress) and address.port < 1024:
            reason = "ports below 1024 need privileges"
            advice = hint(
                "choose a port above 1023; or start as root with {} NAME, take a socket of systemd (fd://3), or grant "
                "CAP_NET_BIND_SERVICE",
                Named("user"),
            )
        case errno.EACCES | errno.EPERM if isinstance(address, UnixAddress):
            reason = f"this user may not make a file in {_folder(address)}"
            advice = "choose a folder in which this user may, or give it the permission (write and search)"
        case errno.EACCES | errno.EPERM:
            reason = "this user has no permission"
        case errno.EADDRNOTAVAIL:
            reason = "this machine has no such address"
            advice = "0.0.0.0 listens on all addresses of the machine"
        case errno.ENOENT if isinstance(address, UnixAddress):
            reason = "the folder does not exist"
            advice = f"make the folder {_folder(address)}, or choose another path"
        case _:
            reason = exc.strerror or str(exc)
    return ListenError(f"cannot listen on {address}: {reason}.", hint=advice)
