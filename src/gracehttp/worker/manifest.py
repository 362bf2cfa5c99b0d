"""What a worker is given by its supervisor: who it is, and its listeners. The other side is `supervisor.reception`."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gracehttp.channel import CHANNEL_VARIABLE, VERSIONS, Channel, Message
from gracehttp.errors import StartError
from gracehttp.net.address import DescriptorAddress, parse_address
from gracehttp.net.idle_ranking import IdleRanking, LocalRanking, SharedRanking
from gracehttp.net.permits import LocalPermits, Permits, SharedPermits

BothEnds = tuple[socket.socket, socket.socket]
"""Of a handover queue: the one to send to, the one to receive from."""


@dataclass(frozen=True, slots=True)
class GivenListener:
    """A listening socket and the limit on its connections. Whoever takes it closes all that it has.

    `number` is what all generations of one supervisor call it. `handover` is its handover queue, None where the
    system has no such queue, and `queue` what the supervisor calls that. `inherited` says that whoever started the
    service has opened the socket (fd://N). `ranking` compares its idle connections with those of other workers.
    """

    number: int
    bound: str
    socket: socket.socket
    permits: Permits
    handover: BothEnds | None = None
    inherited: bool = False
    queue: int = 0
    ranking: IdleRanking = field(default_factory=LocalRanking)

    def close(self) -> None:
        self.socket.close()
        self.permits.close()
        for end in self.handover or ():
            end.close()


@dataclass(frozen=True, slots=True)
class Manifest:
    """`listeners` are in the order in which they were asked for. `stderr` is a descriptor of the supervisor's own
    stderr, `tty` tells whether that is a terminal. `template` is where to leave a template, None if none is wanted.
    `tells_code` asks for the record of this worker's code, `code` is the one to compare it with. Whoever takes the
    sockets and descriptors closes them."""

    generation: int
    worker: int
    workers: int
    tty: bool
    stderr: int
    template: socket.socket | None
    tells_code: bool
    code: int | None
    listeners: Sequence[GivenListener]

    def close(self) -> None:
        """Let go of all but `template`. For a process that is to be no worker."""
        os.close(self.stderr)
        if self.code is not None:
            os.close(self.code)
        for listener in self.listeners:
            listener.close()


def claim_channel(environ: MutableMapping[str, str]) -> Channel | None:
    """The channel to the supervisor that started this process; None if nobody did, so this is the first process.

    The variable is removed, so that a program that the application starts doesn't take itself for a worker.
    """
    number = environ.pop(CHANNEL_VARIABLE, None)
    if number is None:
        return None
    try:
        sock = socket.socket(fileno=int(number))
    except (ValueError, OSError):
        return None
    sock.set_inheritable(False)
    sock.setblocking(True)
    return Channel(sock)


def introduce(
    channel: Channel,
    *,
    release: str,
    settings: Mapping[str, Any],
    places: Mapping[str, str | bool | None],
    listeners: Sequence[Mapping[str, Any]],
    offers: Sequence[str] = (),
) -> Manifest:
    """Say hello, and wait for what the supervisor gives. `settings` are the fields of `FleetSettings`, `places` what
    `supervisor.kept_places` compares, `listeners` the fields of `ListenRequest`, `offers` what this worker can do:
    `template`, `code`.

    Raises `StartError` if the supervisor refuses, `ChannelClosed` if it is gone.
    """
    channel.send(
        {
            "type": "hello",
            "versions": list(VERSIONS),
            "release": release,
            "pid": os.getpid(),
            "settings": dict(settings),
            "places": dict(places),
            "listeners": [dict(one) for one in listeners],
            "offers": list(offers),
        }
    )
    given: list[Message] = []
    asked: dict[str, Sequence[int]] = {}
    while True:
        for message in channel.receive():
            match message["type"]:
                case "listener":
                    given.append(message)
                case ("template" | "code") as what:
                    asked[what] = message.get("fds", ())
                case "refused":
                    raise StartError(message["message"], hint=message["hint"])
                case "welcome":
                    return _manifest(message, given, asked)


def _manifest(welcome: Message, listeners: Sequence[Message], asked: Mapping[str, Sequence[int]]) -> Manifest:
    slot = welcome["slot"]
    (stderr,) = welcome["fds"]
    return Manifest(
        generation=welcome["generation"],
        worker=welcome["worker"],
        workers=welcome["workers"],
        tty=welcome["tty"],
        stderr=stderr,
        template=next((socket.socket(fileno=fd) for fd in asked.get("template", ())), None),
        tells_code="code" in asked and not asked["code"],
        code=next(iter(asked.get("code", ())), None),
        listeners=[_given(one, slot) for one in listeners],
    )


def _given(message: Message, slot: int) -> GivenListener:
    fds = iter(message["fds"])
    sock = socket.socket(fileno=next(fds))
    sock.setblocking(False)
    permits: Permits
    ranking: IdleRanking = LocalRanking()
    if message["permits"] == "shared":
        permits = SharedPermits(next(fds), next(fds), next(fds), slot)
        ranking = SharedRanking(permits.page.words("idle"), slot)
    else:
        permits = LocalPermits(message["limit"])
    handover = (socket.socket(fileno=next(fds)), socket.socket(fileno=next(fds))) if message["handover"] else None
    inherited = isinstance(parse_address(message["address"]), DescriptorAddress)
    queue = message.get("queue", 0)
    return GivenListener(message["number"], message["bound"], sock, permits, handover, inherited, queue, ranking)
