"""One listening socket of the supervisor, with its permits: what it is, and whether new connections reach its queue."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from gracehttp.net.address import Address, DescriptorAddress, parse_address
from gracehttp.net.bind import FileIdentity, bound_address, remove_socket_file
from gracehttp.net.forks import close_in_children
from gracehttp.net.permits import PermitPool, PoolRecord
from gracehttp.net.syn_filter import admit_new_connections, drop_new_connections
from gracehttp.values import Descriptor, Value
from gracehttp.wire.messages import ListenRequest


class ListenerRecord(Value):
    """One listener, to go on with in another process."""

    number: int
    address: str
    socket: Descriptor
    pool: PoolRecord | None
    limit: int
    file: FileIdentity | None
    wishes: Mapping[int, ListenRequest]
    admitting: bool = True
    shed: int = 0
    kept: bool = False


@dataclass(slots=True)
class HeldListener:
    """One listening socket with its permits. `pool` is None where the system has no shared permits."""

    number: int
    address: Address
    socket: socket.socket
    pool: PermitPool | None
    limit: int
    file: FileIdentity | None
    wishes: dict[int, ListenRequest] = field(default_factory=dict)  # by generation
    shed: int = 0  # how many idle connections were closed to make room
    kept: bool = False  # by the service manager too, for the next supervisor
    open: bool = True
    admitting: bool = True
    bound: str = field(init=False)

    def __post_init__(self) -> None:
        close_in_children(self.socket)  # a log callback of a script may fork
        self.bound = bound_address(self.socket)  # once: to tell where a port is must not fail for want of memory

    def stop_admitting(self) -> None:
        """Let no new connection into the queue. What waits in it is still served."""
        if self.admitting and not isinstance(self.address, DescriptorAddress):  # that queue is its opener's
            self.admitting = False
            drop_new_connections(self.socket)
            remove_socket_file(self.address, self.file)

    def admit(self) -> None:
        if not self.admitting:
            self.admitting = True
            admit_new_connections(self.socket)

    def set_backlog(self, backlog: int) -> None:
        """The length of the accept queue; that of an inherited socket is its opener's."""
        if not isinstance(self.address, DescriptorAddress):
            with contextlib.suppress(OSError):
                self.socket.listen(backlog)

    def carry(self) -> ListenerRecord:
        return ListenerRecord(
            number=self.number,
            address=str(self.address),
            socket=Descriptor(self.socket.fileno()),
            pool=self.pool.carry() if self.pool is not None else None,
            limit=self.limit,
            file=self.file,
            wishes=dict(self.wishes),
            admitting=self.admitting,
            shed=self.shed,
            kept=self.kept,
        )

    @classmethod
    def adopt(cls, record: ListenerRecord) -> Self:
        """Go on with what another process carried."""
        return cls(
            number=record.number,
            address=parse_address(record.address),
            socket=socket.socket(fileno=record.socket),
            pool=PermitPool.adopt(record.pool) if record.pool is not None else None,
            limit=record.limit,
            file=record.file,
            wishes=dict(record.wishes),
            admitting=record.admitting,
            shed=record.shed,
            kept=record.kept,
        )

    def close(self) -> None:
        if self.open:
            self.open = False
            self.socket.close()
            if self.pool is not None:
                self.pool.close()
