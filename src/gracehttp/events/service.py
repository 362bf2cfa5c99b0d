"""The life of the service: its supervisor, stops, and what of the options has no effect."""

from __future__ import annotations

from gracehttp.events.base import Event, Severity, with_details


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
        return f"{'forced stop' if self.forced else 'stop'} requested by {self.source}"


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


class OptionIgnored(Event):
    """New code asks for something that a supervisor settles once, when it starts."""

    severity = Severity.NOTICE
    option: str
    wanted: str
    kept: str

    def __str__(self) -> str:
        kept = f"the supervisor keeps what it has ({self.kept}) until it is stopped and started"
        return f"the new code asks for another {self.option} ({self.wanted}): {kept}"


class ControlUnavailable(Event):
    severity = Severity.ERROR
    where: str
    reason: str

    def __str__(self) -> str:
        return f"no control socket at {self.where} ({self.reason}); signals work all the same"


class ControlRefused(Event):
    """A process that may not control this service has asked to. Told at most once a minute: it could fill the log."""

    severity = Severity.WARNING
    reason: str

    def __str__(self) -> str:
        return f"a client of the control socket was refused: {self.reason}"


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


class SubscriberFailed(Event):
    severity = Severity.ERROR
    subscriber: str
    reason: str

    def __str__(self) -> str:
        return f"{self.subscriber} raised {self.reason}; it is called again, and not reported again"
