"""The listening sockets, and which generation uses them.

The supervisor holds every socket from the first time a worker asks for it until the last generation that uses it is
gone, so the kernel queue of a port survives all workers (promise 1). Sockets are found by address, never by position.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Protocol

from gracehttp.config import SERVER_OPTIONS
from gracehttp.errors import ListenError
from gracehttp.events import Event, LimitChanged, LimitLowered, LimitSplit, ListenerClosed, ListenerKept, ListenerOpened
from gracehttp.hints import Named, hint
from gracehttp.net.address import Address, DescriptorAddress, TcpAddress, UnixAddress, parse_address
from gracehttp.net.bind import (
    file_identity,
    give_to,
    must_take_ipv6_alone,
    open_listener,
    remove_socket_file,
    resolve,
    takes_ipv6_alone,
)
from gracehttp.net.limits import effective_limits
from gracehttp.net.permits import shared_permits
from gracehttp.net.tcp_keepalive import set_keepalive
from gracehttp.supervisor.listeners.held_listener import HeldListener, ListenerRecord
from gracehttp.system.credentials import Credentials
from gracehttp.values import Value
from gracehttp.wire.messages import ListenRequest


class TableRecord(Value):
    """All listeners of a supervisor, to go on with in another process."""

    listeners: tuple[ListenerRecord, ...]
    last_number: int


class Store(Protocol):
    """What keeps listeners when this process is killed: see `supervisor.service_manager.store`."""

    def claim(self, address: str) -> socket.socket | None: ...

    def keep(self, address: str, listener: socket.socket) -> bool: ...

    def remove(self, address: str) -> None: ...


class ListenerTable:
    """All listeners of the supervisor. `descriptors` is how many files a process may open. Unix sockets are given to
    `owner`."""

    def __init__(
        self,
        *,
        descriptors: int,
        publish: Callable[[Event], None],
        owner: Credentials | None = None,
        record: TableRecord | None = None,
        store: Store | None = None,
    ) -> None:
        """Without listeners, or with those that another process carried. `store` keeps them for the next supervisor."""
        self._store = store
        self._claimed: set[int] = set()  # numbers of those that the store had, until a generation serves
        self._descriptors = descriptors
        self._publish = publish
        self._owner = owner
        self._held = [HeldListener.adopt(one) for one in record.listeners] if record else []
        self._last_number = record.last_number if record else 0
        self._names = {one.number: one.bound for one in self._held}

    def carry(self) -> TableRecord:
        return TableRecord(listeners=tuple(one.carry() for one in self._held), last_number=self._last_number)

    def name_of(self, number: int) -> str:
        """Where a listener is, or was, bound; "" if that was before the supervisor replaced itself."""
        return self._names.get(number, "")

    def __iter__(self) -> Iterator[HeldListener]:
        return iter(self._held)

    def provide(self, requests: Sequence[ListenRequest], generation: int) -> list[HeldListener]:
        """The listeners for `requests`, in their order; those that aren't held yet are opened.

        All or nothing: if one can't be had, those that were opened for this call are closed again and `ListenError`
        tells why.
        """
        limits = effective_limits([one.max_connections for one in requests], self._descriptors)
        addresses = [parse_address(request.address) for request in requests]
        found: list[HeldListener] = []
        with contextlib.ExitStack() as on_error:
            for address, request, limit in zip(addresses, requests, limits, strict=True):
                ipv6_alone = must_take_ipv6_alone(address, addresses)
                listener = self._find(address)
                if listener is None:
                    listener = self._open(request, limit, ipv6_alone=ipv6_alone, other_ports=len(requests) - 1)
                    on_error.callback(self._close, listener)
                _check(listener, address, found, ipv6_alone=ipv6_alone)
                found.append(listener)
            on_error.pop_all()
        for listener, request in zip(found, requests, strict=True):
            listener.wishes[generation] = request
        return found

    def promote(self, generation: int) -> None:
        """The generation serves: its limits, backlogs and probes hold from now on."""
        self._claimed.clear()
        used = [one for one in self._held if generation in one.wishes]
        limits = effective_limits([one.wishes[generation].max_connections for one in used], self._descriptors)
        for listener, limit in zip(used, limits, strict=True):
            listener.admit()
            listener.set_backlog(listener.wishes[generation].backlog)
            set_keepalive(listener.socket, listener.wishes[generation].tcp_keepalive_seconds)
            if limit != listener.limit and listener.pool is not None:
                self._publish(LimitChanged(str(listener.address), listener.limit, limit))
                listener.pool.resize(limit)
                listener.limit = limit

    def connections_shed(self, number: int, connections: int) -> None:
        """A worker has closed so many idle connections of a full listener, to make room."""
        for listener in self._held:
            if listener.number == number:
                listener.shed += connections

    def used_by(self, generation: int) -> list[int]:
        """The numbers of the listeners of a generation."""
        return [listener.number for listener in self._held if generation in listener.wishes]

    def taking_tls(self, generations: Collection[int]) -> list[int]:
        """The numbers of the listeners of which each of these generations that has them goes on with sessions of
        TLS."""
        taking = []
        for listener in self._held:
            wishes = [wish for generation, wish in listener.wishes.items() if generation in generations]
            if wishes and all(wish.takes_tls for wish in wishes):
                taking.append(listener.number)
        return taking

    def forget(self, generation: int) -> None:
        """The generation is gone: close the listeners that only it used."""
        for listener in list(self._held):
            listener.wishes.pop(generation, None)
            if not listener.wishes:
                self._close(listener)

    def stop_admitting(self) -> None:
        """The service ends."""
        for listener in self._held:
            listener.stop_admitting()

    def leave_behind(self, in_use: Collection[int], coming: int | None) -> list[int]:
        """Stop admitting to listeners that no generation of `in_use` has. Returns the numbers of such listeners.

        A listener that the generation `coming` wants admits connections again when that serves (`promote`). With a Unix
        socket that is not possible, so it goes on admitting them.
        """

        def is_kept(listener: HeldListener) -> bool:
            comes_back = coming in listener.wishes and not isinstance(listener.address, TcpAddress)
            return comes_back or not listener.wishes.keys().isdisjoint(in_use)

        left = [listener for listener in self._held if not is_kept(listener)]
        for listener in left:
            listener.stop_admitting()
        return [listener.number for listener in left]

    def close_all(self) -> None:
        for listener in list(self._held):
            self._close(listener)

    def _find(self, address: Address) -> HeldListener | None:
        for listener in self._held:
            if listener.address == address and (listener.admitting or isinstance(address, TcpAddress)):
                return listener  # a Unix socket that stopped admitting has lost its file
        if isinstance(address, TcpAddress) and address.port:
            # The same place may be written in two ways, as localhost and as 127.0.0.1.
            family, where = resolve(address)
            for listener in self._held:
                if listener.socket.family == family and listener.socket.getsockname()[:2] == where:
                    return listener
        return None

    def _open(self, request: ListenRequest, limit: int, *, ipv6_alone: bool, other_ports: int) -> HeldListener:
        address = parse_address(request.address)
        claimed = self._store.claim(request.address) if self._store is not None else None
        sock = claimed or self._bind(address, request, ipv6_alone=ipv6_alone)
        set_keepalive(sock, request.tcp_keepalive_seconds)
        try:
            if self._owner is not None and isinstance(address, UnixAddress):
                give_to(address, self._owner)
            pool = shared_permits(limit)
        except ListenError:
            sock.close()
            remove_socket_file(address, file_identity(address))
            raise
        except OSError as exc:
            sock.close()
            raise ListenError(f"cannot make the limit for {address}: {exc.strerror}.") from exc
        self._last_number += 1
        listener = HeldListener(self._last_number, address, sock, pool, limit, file_identity(address))
        self._held.append(listener)
        self._names[listener.number] = listener.bound
        if self._store is not None and not isinstance(address, DescriptorAddress):
            listener.kept = self._store.keep(request.address, sock)
        if claimed is not None:
            self._claimed.add(listener.number)
            listener.set_backlog(request.backlog)
            self._publish(ListenerKept(listener.bound))
        self._tell_of(listener, request, other_ports)
        if pool is None:
            self._publish(LimitSplit(listener.bound, limit))
        return listener

    def _bind(self, address: Address, request: ListenRequest, *, ipv6_alone: bool) -> socket.socket:
        try:
            return open_listener(address, backlog=request.backlog, unix_mode=request.unix_mode, ipv6_alone=ipv6_alone)
        except ListenError as exc:
            if (reason := self._in_the_way(exc, address)) is not None:
                raise reason from exc
            raise

    def _in_the_way(self, failed: ListenError, address: Address) -> ListenError | None:
        """What to tell instead of `failed`, if a listener of this service is in the way of `address`."""
        cause = failed.__cause__
        if isinstance(address, TcpAddress) and isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE:
            for one in self._held:
                if isinstance(one.address, TcpAddress) and one.socket.getsockname()[1] == address.port:
                    return ListenError(
                        f"cannot listen on {address}: this service listens there already, as {one.address}.",
                        hint=hint(
                            "leave one of the two out ({}); what the running code has is free once the service stops",
                            Named("bind"),
                        ),
                    )
        return None

    def _tell_of(self, opened: HeldListener, request: ListenRequest, other_ports: int) -> None:
        wanted, url = request.max_connections, _url(opened.bound, "https" if request.tls else "http")
        if opened.limit == wanted:
            self._publish(ListenerOpened(opened.bound, opened.limit, url=url))
        elif wanted == SERVER_OPTIONS["max_connections"].default:  # only a default was not met
            self._publish(ListenerOpened(opened.bound, opened.limit, self._descriptors, other_ports, url))
        else:
            self._publish(ListenerOpened(opened.bound, opened.limit, url=url))
            self._publish(LimitLowered(opened.bound, wanted, opened.limit, self._descriptors, other_ports))

    def _close(self, listener: HeldListener) -> None:
        self._held.remove(listener)
        name = listener.bound
        if listener.number not in self._claimed:  # those stay for the next attempt: clients wait in their queues
            if listener.kept and self._store is not None:
                self._store.remove(str(listener.address))
            remove_socket_file(listener.address, listener.file)
        listener.close()
        self._publish(ListenerClosed(name))


def _url(bound: str, scheme: str) -> str:
    """Where a client on this machine reaches a listener that is bound to `bound`; empty if that is no TCP port."""
    address = parse_address(bound)
    return f"{scheme}://{address.local}" if scheme and isinstance(address, TcpAddress) else ""


def _check(listener: HeldListener, address: Address, others: Sequence[HeldListener], *, ipv6_alone: bool) -> None:
    """Raise `ListenError` if `listener` can't serve `address`: another server has it, or it was opened otherwise."""
    if listener in others:
        raise ListenError(
            f"cannot listen on {address}: another server has that address already, as {listener.address}.",
            hint="give each server an address of its own",
        )
    is_alone = takes_ipv6_alone(listener.socket)
    if is_alone is None or is_alone == ipv6_alone:
        return
    if is_alone:
        raise ListenError(
            f"cannot listen on {address} for IPv4 too: it was opened for IPv6 alone, beside an IPv4 address.",
            hint="keep the IPv4 address, or stop the service and start it again",
        )
    raise ListenError(
        f"cannot listen on {address} beside an IPv4 address of the same port: it was opened for IPv4 too.",
        hint="leave the IPv4 address out, or stop the service and start it again",
    )
