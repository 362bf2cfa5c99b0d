"""What a worker is given by its supervisor: its number, and its listeners. The other side is `supervisor.reception`."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping, Sequence

from gracehttp.errors import StartError
from gracehttp.net.address import DescriptorAddress, parse_address
from gracehttp.net.handover_shares import ALONE, HandoverShares, SharedShares
from gracehttp.net.idle_ranking import IdleRanking, LocalRanking, SharedRanking
from gracehttp.net.permits import LocalPermits, Permits
from gracehttp.net.shared_permits import SharedPermits
from gracehttp.values import Value
from gracehttp.wire import messages
from gracehttp.wire.channel import Channel
from gracehttp.wire.lineage import CHANNEL_VARIABLE, claim_socket, forget_fault_handler

BothEnds = tuple[socket.socket, socket.socket]
"""The two ends of a handover queue: to send to, to receive from."""


class GivenListener(Value):
    """A listening socket and the limit on its connections. It owns all that it has.

    `number` is what all generations of one supervisor call it. `handover` is its handover queue, None where the
    system has no such queue, and `queue` the identity of that. `inherited` says that the process that started the
    service has opened the socket (fd://N, systemd:NAME). `ranking` compares its idle connections with those of other
    workers, `shares` tells them how many of the connections of older workers each should take. `kept`: its queue lives
    on if the supervisor is killed.
    """

    number: int
    bound: str
    socket: socket.socket
    permits: Permits
    handover: BothEnds | None = None
    inherited: bool = False
    queue: int = 0
    ranking: IdleRanking = LocalRanking()  # one for all: it has no state
    shares: HandoverShares = ALONE
    kept: bool = False

    def close(self) -> None:
        self.socket.close()
        self.permits.close()
        for end in self.handover or ():
            end.close()


class Manifest(Value):
    """`listeners` are in the order in which they were asked for. `stderr` is a descriptor of the supervisor's own
    stderr, `tty` tells whether that is a terminal. `utc_offsets`: see `Welcome`. `template` is where to leave a
    template, None if none is wanted. `records_code` asks for the record of this worker's code, `code` is the one to
    compare it with. `page` is the file of its page, None if it writes none. The worker owns all sockets and
    descriptors in it, and closes them."""

    generation: int
    worker: int
    workers: int
    tty: bool
    utc_offsets: tuple[tuple[int, int], ...]
    stderr: int
    template: socket.socket | None
    records_code: bool
    code: int | None
    listeners: Sequence[GivenListener]
    ticket_secret: bytes = b""
    """Empty: none was given."""
    certificates: int | None = None
    """The certificates of the generation, as `TakeCertificates` has them. None: the worker reads the files."""
    page: int | None = None
    probes_are_answered: bool = True
    """Whether the supervisor has an admin address."""

    def close(self) -> None:
        """Close all but `template`, in a process that becomes no worker."""
        os.close(self.stderr)
        if self.code is not None:
            os.close(self.code)
        if self.certificates is not None:
            os.close(self.certificates)
        if self.page is not None:
            os.close(self.page)
        for listener in self.listeners:
            listener.close()


def claim_channel(environ: MutableMapping[str, str]) -> Channel | None:
    """The channel to the supervisor that started this process; None in the process that was started first.

    The variable is removed, so that a program that the application starts doesn't take itself for a worker; and so is
    what the supervisor has set for the worker alone.
    """
    forget_fault_handler(environ)
    sock = claim_socket(environ, CHANNEL_VARIABLE)
    if sock is None:
        return None
    sock.setblocking(True)
    return Channel(sock)


def introduce(channel: Channel, hello: messages.Hello) -> Manifest:
    """Say hello, and wait for what the supervisor gives.

    Raises `StartError` if the supervisor refuses, `ChannelClosed` if it is gone.
    """
    channel.send(hello)
    listeners: list[messages.TakeListener] = []
    template: socket.socket | None = None
    ticket_secret = b""
    certificates = None
    records_code, code, page = False, None, None
    while True:
        for order in channel.receive():
            match order:
                case messages.TakeListener():
                    listeners.append(order)
                case messages.LeaveTemplate(end):
                    template = socket.socket(fileno=end)
                case messages.RecordCode():
                    records_code = True
                case messages.CompareCode(record):
                    code = record
                case messages.TakeCertificates(contents):
                    certificates = contents
                case messages.UseTicketSecret(secret):
                    ticket_secret = secret
                case messages.TakePage(file):
                    page = file
                case messages.Refuse(message, hint):
                    raise StartError(message, hint=hint)
                case messages.Welcome():
                    return Manifest(
                        generation=order.generation,
                        worker=order.worker,
                        workers=order.workers,
                        tty=order.tty,
                        utc_offsets=order.utc_offsets,
                        stderr=order.stderr,
                        template=template,
                        records_code=records_code,
                        code=code,
                        ticket_secret=ticket_secret,
                        certificates=certificates,
                        listeners=[_given(one, order.slot) for one in listeners],
                        page=page,
                        probes_are_answered=order.probes_are_answered,
                    )


def _given(order: messages.TakeListener, slot: int) -> GivenListener:
    sock = socket.socket(fileno=order.socket)
    sock.setblocking(False)
    permits: Permits
    ranking: IdleRanking
    shares: HandoverShares
    if order.permits is not None:
        permits = SharedPermits(order.permits.free, order.permits.owed, order.permits.ledger, slot)
        ranking = SharedRanking(permits.page.words("idle"), slot)
        shares = SharedShares(permits.page.words("takes"), permits.page.words("leaves"), slot)
    else:
        permits = LocalPermits(order.limit)
        ranking = LocalRanking()
        shares = ALONE
    inherited = isinstance(parse_address(order.address), DescriptorAddress)
    ends, queue = None, 0
    if order.queue is not None:
        ends = socket.socket(fileno=order.queue.send_end), socket.socket(fileno=order.queue.receive_end)
        queue = order.queue.identity
    return GivenListener(order.number, order.bound, sock, permits, ends, inherited, queue, ranking, shares, order.kept)
