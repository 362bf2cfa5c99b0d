"""The life of the service: its supervisor, stops, and what of the options has no effect."""

from __future__ import annotations

from gracehttp.events.base import Event, Severity, counted, with_details


class SupervisorStarted(Event):
    severity = Severity.NOTICE
    pid: int
    version: str
    build: str = ""
    """`compiled`, or `interpreted` and why."""

    def __str__(self) -> str:
        signals = f"kill -HUP {self.pid} restarts, kill -TERM {self.pid} stops"
        build = f", {self.build}" if self.build else ""
        return f"gracehttp {self.version} started, pid {self.pid} ({signals}){build}"


class MetricsServed(Event):
    severity = Severity.NOTICE
    address: str

    def __str__(self) -> str:
        return f"metrics for Prometheus are at {self.address}"


class SupervisorStopped(Event):
    severity = Severity.NOTICE
    pid: int

    def __str__(self) -> str:
        return f"gracehttp stopped, pid {self.pid}"


class SupervisorLost(Event):
    severity = Severity.ERROR
    pid: int

    def __str__(self) -> str:
        return f"the supervisor is gone; worker {self.pid} finishes what is in flight and ends"


class StopRequested(Event):
    severity = Severity.NOTICE
    source: str
    forced: bool

    def __str__(self) -> str:
        by = self.source
        if by == "SIGINT" and not self.forced:  # from a person, who looks on while requests in flight end
            by += " (a second one forces)"
        return f"{'forced stop' if self.forced else 'stop'} requested by {by}"


class StopDelayed(Event):
    severity = Severity.NOTICE
    seconds: float

    def __str__(self) -> str:
        return f"going on for {self.seconds:g} s, so that load balancers hear of the stop"


class StartFailed(Event):
    """The last word of a service that could not start."""

    severity = Severity.ERROR
    reason: str
    hint: str
    details: str
    exit_status: int

    def __str__(self) -> str:
        return self.reason


class VariableIgnored(Event):
    """An environment variable that is no option, and looks like one."""

    severity = Severity.NOTICE
    variable: str
    meant: str

    def __str__(self) -> str:
        return f"{self.variable} is set, and is no option; {self.meant} is one"


class SpareImpossible(Event):
    """`spare` is on in a program that isn't the command `gracehttp`."""

    severity = Severity.NOTICE

    def __str__(self) -> str:
        return (
            "spare is on and has no effect here: each worker must run this program from its beginning. "
            "Only the command gracehttp has a spare process"
        )


class LinkMoved(Event):
    """A link by which the service was started leads elsewhere. `stays` is the working directory, if no name tells that
    the link is how the service manager came there."""

    severity = Severity.NOTICE
    link: str
    before: str
    now: str
    stays: str = ""

    def __str__(self) -> str:
        sentence = f"the link {self.link} leads to {self.now} now, no more to {self.before}"
        if not self.stays:
            return sentence
        hint = f"start the service with PWD={self.link} in its environment, or by paths through {self.link}"
        return f"{sentence}; new workers start in {self.stays} all the same (Hint: {hint})"


class OptionIgnored(Event):
    """New code asks for something that a supervisor settles once, when it starts."""

    severity = Severity.NOTICE
    option: str
    wanted: str
    kept: str

    def __str__(self) -> str:
        ends = "is replaced (USR2), or" if self.option in {"user", "group"} else "is"
        kept = f"the supervisor keeps what it has ({self.kept}) until it {ends} stopped and started"
        return f"the new code asks for another {self.option} ({self.wanted}): {kept}"


class ControlUnavailable(Event):
    severity = Severity.ERROR
    where: str
    reason: str

    def __str__(self) -> str:
        also = ", and --control PATH makes one with a file" if self.where.startswith("@") else ""
        return f"no control socket at {self.where} ({self.reason}); signals work all the same{also}"


class ControlRefused(Event):
    """A process that may not control this service has asked to. Told at most once a minute: it could fill the log."""

    severity = Severity.WARNING
    reason: str

    def __str__(self) -> str:
        return f"a client of the control socket was refused: {self.reason}"


class AdminOpened(Event):
    severity = Severity.NOTICE
    where: str

    def __str__(self) -> str:
        return f"answering health checks at {self.where}"


class AgentCheckOpened(Event):
    severity = Severity.NOTICE
    where: str

    def __str__(self) -> str:
        return f"answering agent-checks of HAProxy at {self.where}"


class ManagerNotTold(Event):
    severity = Severity.ERROR
    reason: str

    def __str__(self) -> str:
        return f"the service manager can't be told of the service ({self.reason}); this is said once"


class ReplacementRequested(Event):
    severity = Severity.NOTICE
    source: str

    def __str__(self) -> str:
        return f"another supervisor requested by {self.source}: trying whether it would start"


class ReplacementGivenUp(Event):
    """`details` is what the next image said, as far as it isn't in the log already."""

    severity = Severity.ERROR
    reason: str
    details: str = ""

    def __str__(self) -> str:
        return with_details(f"the supervisor stays the same: {self.reason}; nothing was changed", self.details)


class SupervisorReplaced(Event):
    severity = Severity.NOTICE
    pid: int
    version: str
    predecessor: str

    def __str__(self) -> str:
        return f"the supervisor has replaced itself: gracehttp {self.predecessor} by {self.version}, pid {self.pid}"


class KeysLogged(Event):
    """Told once by each supervisor."""

    severity = Severity.ERROR
    path: str

    def __str__(self) -> str:
        return (
            f"the secrets of all TLS connections are written to {self.path}, because SSLKEYLOGFILE is set: "
            "with that file their traffic can be read"
        )


class FilesWatched(Event):
    """With `--reload`. `why_polling` is empty where the system tells of changes, or where polling was asked for."""

    severity = Severity.NOTICE
    folders: tuple[str, ...]
    files: int
    why_polling: str = ""

    def __str__(self) -> str:
        how = f", at intervals ({self.why_polling})" if self.why_polling else ""
        return f"a change restarts: watching {counted(self.files, 'file')} in {', '.join(self.folders)}{how}"


class FilesWrittenAtStart(Event):
    """These have changed again and again right after a restart that they had caused."""

    severity = Severity.ERROR
    files: tuple[str, ...]

    def __str__(self) -> str:
        changes = "changes" if len(self.files) == 1 else "change"
        return (
            f"{', '.join(self.files)} {changes} at each restart, so the application writes there: that restarts no "
            f"more now (--reload-exclude keeps it so)"
        )


class WatcherLost(Event):
    severity = Severity.ERROR
    reason: str

    def __str__(self) -> str:
        return f"changes of files restart no more, because their watcher {self.reason}; HUP restarts"


class StartAwaitsChange(Event):
    """With `--reload`, an application that can't start is no reason to end."""

    severity = Severity.NOTICE

    def __str__(self) -> str:
        return "nothing serves; the next change of a file starts it again"


class HookProcessEnded(Event):
    """Events that it had taken, and not told its hooks yet, are lost to them. `again_in_seconds` is None if another one
    has taken its place already."""

    severity = Severity.ERROR
    how: str
    again_in_seconds: float | None

    def __str__(self) -> str:
        again = "" if self.again_in_seconds is None else f"; it is started again in {self.again_in_seconds:.1f} s"
        return f"the process that calls hooks {self.how}{again}"


class HookEventsDropped(Event):
    severity = Severity.ERROR

    def __str__(self) -> str:
        return "hooks take longer than events come: what they can't take is dropped from here on"


class SubscriberFailed(Event):
    severity = Severity.ERROR
    subscriber: str
    reason: str

    def __str__(self) -> str:
        return f"{self.subscriber} raised {self.reason}; it is called again, and not reported again"
