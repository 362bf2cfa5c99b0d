"""All that the supervisor, its workers and its templates say to each other, one class for each message.

    supervisor                                    worker
        |  <- Hello ---------------------------------  |   versions of this protocol, settings, listeners
        |  -- TakeListener, LeaveTemplate, ... ----->  |   one for each listener, and what it has to do first
        |  -- Welcome (or Refuse) ------------------>  |
        |  <- StageBegan, CodeRecorded, ... ---------  |
        |  <- Ready (or Failed) ---------------------  |   warm; it accepts nothing yet
        |  -- Serve -------------------------------->  |
        |  -- Pause, Serve, Hold, Resume, Ping ----->  |   while it serves
        |  <- Paused, Answered, Shed, Alive, ... ----  |
        |  -- Drain -------------------------------->  |
        |  <- StoppedAccepting ----------------------  |   and it ends when its last connection is gone

A message is a JSON object on a line (`wire.channel`): `type` is the name of its class in snake case, and the other
members are its fields. A `Descriptor` is the place of an open file among those that come with the message.

Old and new may be different releases. `Hello` lists the versions of this protocol that the worker speaks, and the
supervisor answers with one of them, or refuses. Within a version a release may add a message, and add a field that has
a default. A message of an unknown type and a field that isn't known are passed over.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, MutableMapping
from typing import Any, ClassVar

from gracehttp.values import Descriptor, Value, from_plain, to_plain

VERSIONS = (2,)
"""The versions of this protocol that this release speaks."""


class Message(Value):
    """What all messages have in common."""

    type: ClassVar[str]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.type = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


class Report(Message):
    """From a worker to its supervisor."""


class Order(Message):
    """From the supervisor to a worker."""


class TemplateReport(Message):
    """From a template, or the spare process, to the supervisor, on its own channel."""


class TemplateOrder(Message):
    """From the supervisor to a template, or the spare process. A template's channel has the version with which its
    first worker was welcomed; a spare process has the release of the generation that offered it."""


class WatcherReport(Message):
    """From the process that watches files (`--reload`) to the supervisor, on its own channel."""


# --- parts of messages ---


class FleetSettings(Value):
    """What a generation wants of its supervisor. Its first worker says it, so each deploy brings its own."""

    workers: int = 1
    ready_timeout_seconds: float = 60.0
    drain_timeout_seconds: float = 30.0
    probation_seconds: float = 0.0
    """0: none."""
    probation_max_errors: float | None = None
    """The largest share of all responses that may be errors, from 0 to 1. None: errors are not counted."""
    stands_by: bool = False
    """Whether its workers can pause and serve again."""
    stop_delay_seconds: float = 0.0
    """How long the service goes on between the request to stop and the drain."""
    hang_timeout_seconds: float = 0.0
    """How long a worker that serves may show no progress on its page. 0: for ever."""
    hooks: tuple[str, ...] = ()
    """The names of the events that have hooks outside the workers."""


class FixedOptions(Value):
    """What a supervisor keeps for its life, whatever new code is given: here the worker says what its code was given.

    `pidfile` is an absolute path, None is no pidfile. `control` is an absolute path, None the abstract name, False no
    control socket. `user` and `group` are as they were written.
    """

    pidfile: str | None = None
    control: str | bool | None = None
    user: str | None = None
    group: str | None = None
    admin: str | None = None
    agent_check: str | None = None
    metrics: str | None = None
    """The address where the metrics are; None: none."""


class ListenRequest(Value):
    """A listener that a worker asks for. `max_connections` is as configured: the limits of the system may be lower.

    `takes_tls`: the worker goes on with sessions of TLS that others hand over.
    """

    address: str
    backlog: int
    max_connections: int
    unix_mode: int | None = None
    tcp_keepalive_seconds: float = 60.0
    takes_tls: bool = False
    tls: bool = False


class CertificateFacts(Value):
    """A certificate of the server: the path of its file, the names that it is for, and when it is valid, in seconds
    since 1970. With `is_crl` it is a list of revoked certificates of clients, and has no names."""

    path: str
    names: tuple[str, ...]
    not_before: float
    not_after: float
    is_crl: bool = False


class PermitDescriptors(Value):
    """The permits for the connections of a listener, which all workers share (`net.permits`)."""

    free: Descriptor
    owed: Descriptor
    ledger: Descriptor


class QueueEnds(Value):
    """Both ends of the handover queue of a listener. `identity` tells this queue from all others."""

    identity: int
    send_end: Descriptor
    receive_end: Descriptor


class DrainReason(enum.Enum):
    """Why a worker drains."""

    RESTART = "restart"  # its successors serve, and take its connections
    STOP = "stop"  # the service ends


# --- a worker says ---


class Hello(Report):
    """The first message of a worker.

    `versions` are those of this protocol that it speaks. `offers` is what it can do if it is ordered to: `template`
    (`LeaveTemplate`), `code` (`RecordCode` and `CompareCode`), `page` (`TakePage`), `spare` (its command line, with
    another variable, is a spare process). `tls_files` are the absolute paths of its certificates and of what else TLS
    needs; with such files it takes `PrepareCertificates` and `UseTicketSecret`.
    """

    versions: tuple[int, ...]
    settings: FleetSettings
    listeners: tuple[ListenRequest, ...]
    fixed: FixedOptions | None = None
    offers: tuple[str, ...] = ()
    release: str = ""
    pid: int = 0
    tls_files: tuple[str, ...] = ()
    build: str = ""


class CertificatesLoaded(Report):
    """The worker uses these certificates, or has them ready, if `change` is not 0: that of `PrepareCertificates`.

    `digest` tells the content of all files from any other content. `contents` has it, for other workers of the same
    generation (`TakeCertificates`); None where the system has no memory for it.
    """

    change: int
    digest: str
    certificates: tuple[CertificateFacts, ...]
    contents: Descriptor | None = None


class CertificatesRefused(Report):
    """What is in the files can't be used, for this reason, which is a sentence."""

    change: int
    reason: str


class CodeRecorded(Report):
    """The record of the code that the worker runs, as `RecordCode` asked for it."""

    record: Descriptor


class CodeDiffers(Report):
    """The worker has imported these `files`, and so many `more`, otherwise than the worker whose record it compared.
    With `alone` it compared itself: it has imported them before they changed, and other files after that."""

    files: tuple[str, ...]
    more: int = 0
    alone: bool = False


class StageBegan(Report):
    """What the worker begins now, on its way to be ready; completes "it was still ..."."""

    doing: str


class Ready(Report):
    """The worker is warm and stands by. It has accepted nothing yet."""


class Failed(Report):
    """Why the worker ends: a sentence, a hint for the user and details of several lines."""

    message: str
    hint: str
    details: str


class StoppedAccepting(Report):
    """A worker that drains accepts no more connections."""


class Paused(Report):
    """The worker has paused: it accepts nothing that others accept."""


class Answered(Report):
    """How many more responses were sent, and how many of them were errors. Sent while new code is on probation."""

    responses: int
    errors: int


class Alive(Report):
    """The answer to `Ping`: the worker's event loop turns."""

    for_health: bool = False


class DueForRecycling(Report):
    """The worker has reached a limit on its age, requests or memory, and should be replaced."""

    reason: str


class Shed(Report):
    """How many idle connections of a full listener were closed to make room."""

    listener: int
    connections: int


class Told(Report):
    """An event of the worker that has hooks: a line as `hooks.runner.write` makes it."""

    event: str


# --- the supervisor says to a worker ---


class TakeListener(Order):
    """A listener that the worker asked for, before `Welcome`; in the order in which it asked.

    `number` is what all generations of this supervisor call the listener. `limit` is how many connections may be open:
    among all workers with `permits`, in this worker if `permits` is None. `queue` is None where the system has no
    handover queues. `kept`: if the supervisor is killed, the queue lives on, for the next one.
    """

    number: int
    address: str
    bound: str
    limit: int
    socket: Descriptor
    permits: PermitDescriptors | None
    queue: QueueEnds | None
    kept: bool = False


class LeaveTemplate(Order):
    """Leave a template behind, once the application is imported, that listens at `channel`; before `Welcome`."""

    channel: Descriptor


class RecordCode(Order):
    """Answer with `CodeRecorded`; before `Welcome`."""


class TakePage(Order):
    """Write the heartbeat and what is counted on this page (`net.worker_page`); before `Welcome`."""

    page: Descriptor


class CompareCode(Order):
    """Compare the code of this worker with that in `record`; before `Welcome`."""

    record: Descriptor


class Welcome(Order):
    """The worker belongs to `generation` and has the number `worker`.

    `slot` is its place in the ledgers of the permits, `workers` how many its generation wants. `stderr` is the
    supervisor's own, which the worker uses once it is ready; `tty` tells whether that is a terminal. `utc_offsets` is
    the zone of the log: from which second on it is how many seconds ahead of UTC; empty: that of the worker.
    `probes_are_answered`: the supervisor answers health checks at an admin address.
    """

    version: int
    generation: int
    worker: int
    slot: int
    workers: int
    tty: bool
    stderr: Descriptor
    utc_offsets: tuple[tuple[int, int], ...] = ()
    probes_are_answered: bool = True


class Refuse(Order):
    """The worker can't be used: a sentence and a hint."""

    message: str
    hint: str


class Serve(Order):
    """Start to accept, or go on after `Pause`."""


class Pause(Order):
    """Leave these listeners to other workers, and keep ready to serve again.

    The fields are those of `Drain`.
    """

    listeners: tuple[int, ...]
    queues: tuple[int, ...] | None = None
    tls_listeners: tuple[int, ...] = ()


class Drain(Order):
    """Finish what is in flight, within `timeout_seconds`, and end. Ordered again, the earlier deadline holds.

    `listeners` are the numbers of those that other workers go on with. `queues` are the identities of the handover
    queues from which other workers take connections; None: of all. `tls_listeners` are those of which they take
    connections that speak TLS too.
    """

    reason: DrainReason
    timeout_seconds: float
    listeners: tuple[int, ...] = ()
    queues: tuple[int, ...] | None = None
    tls_listeners: tuple[int, ...] = ()


class Hold(Order):
    """No worker would take the connections that this one hands over: keep them and serve them."""


class Resume(Order):
    """Hand connections over again."""


class TakeCertificates(Order):
    """Load the certificates that are in `contents`, as the other workers of the generation have done; before `Welcome`.

    What is in the files now may be no good, or not be used yet; or only root may read it. `contents` is a JSON object:
    what is in each file by its path, each byte as the character of that number. A file that is left out is read.
    """

    contents: Descriptor


class PrepareCertificates(Order):
    """Load the certificates anew, and answer with `CertificatesLoaded` or `CertificatesRefused` of this `change`.

    `contents` is what is in the files now, as in `TakeCertificates`, for a worker that may not read them; None: it
    reads them.
    """

    change: int
    contents: Descriptor | None = None


class UseCertificates(Order):
    """Use the certificates that were prepared for this `change`."""

    change: int


class UseTicketSecret(Order):
    """Derive the keys of TLS session tickets from this secret; before `Welcome`, and when there is a new one."""

    secret: bytes

    def __repr__(self) -> str:
        return "UseTicketSecret(...)"


class AnnounceStop(Order):
    """The service will stop: go on as before, but tell load balancers that ask."""


class Ping(Order):
    """Answer with `Alive`. `for_health` comes back with it: so the supervisor asks for others, at any time."""

    for_health: bool = False


class RequestDump(Order):
    """Write to stderr where the tasks and threads wait, and end by SIGABRT; without `ends`, go on."""

    ends: bool = True


# --- the supervisor and a template say ---


class Fork(TemplateOrder):
    """Fork the worker with this number, and give it its channel and the pipe that is its stderr while it starts.

    `directory` and `variables` are what a spare process must take over first: the working directory, and variables of
    the environment.
    """

    worker: int
    channel: Descriptor
    stderr: Descriptor
    directory: str = ""
    """Empty: as it is."""
    variables: tuple[tuple[str, str], ...] = ()


class TemplateBegan(TemplateReport):
    """The template exists, as this process. A spare process says that it has loaded all it has to, or with a `pid` of 0
    that it can't be one, for `reason`."""

    pid: int
    reason: str = ""


class Forked(TemplateReport):
    """The worker that was ordered is this process. A `pid` of 0 says that there is none, for `reason`."""

    pid: int
    reason: str = ""


# --- the watcher of files says ---


class WatchBegan(WatcherReport):
    """It watches now, so many `files`. `why_polling` tells why it only looks at intervals, if that was not ordered."""

    files: int
    why_polling: str = ""


class FilesChanged(WatcherReport):
    """These files have changed, and so many `more`. They are relative to the watched folder they are in."""

    files: tuple[str, ...]
    more: int = 0


TYPES: Mapping[str, type[Message]] = {
    one.type: one
    for direction in (Report, Order, TemplateReport, TemplateOrder, WatcherReport)
    for one in direction.__subclasses__()
}


def write(message: Message, descriptors: list[int]) -> dict[str, Any]:
    """The JSON object of `message`. Appends its descriptors to `descriptors`."""
    return {"type": message.type, **to_plain(message, descriptors)}


def read(plain: Mapping[str, Any], descriptors: MutableMapping[int, int]) -> Message | None:
    """The message that `write` made `plain` of; None if its type isn't known.

    `descriptors` maps the places of those that came to their numbers; those that the message has are taken out.
    Raises `UnreadableValue`.
    """
    kind = TYPES.get(from_plain(str, plain.get("type")))
    return from_plain(kind, plain, descriptors) if kind is not None else None
