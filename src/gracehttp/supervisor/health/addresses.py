"""The addresses at which the supervisor is asked for its health, as its options name them."""

from __future__ import annotations

from collections.abc import Callable

from gracehttp import events
from gracehttp.supervisor.fleet import Fleet
from gracehttp.supervisor.health.admin import AdminPages, GivePage, Page
from gracehttp.supervisor.health.agent import AgentCheck, words
from gracehttp.supervisor.health.checks import Liveness, free_percent, not_ready
from gracehttp.supervisor.health.endpoint import Endpoint, EndpointRecord
from gracehttp.supervisor.listeners.table import ListenerTable
from gracehttp.supervisor.metrics.exposition import CONTENT_TYPE
from gracehttp.supervisor.processes.workers import WorkerProcesses
from gracehttp.values import Value

LIVE_PATH = "/livez"
READY_PATH = "/readyz"
METRICS_PATH = "/metrics"


class HealthOptions(Value):
    """`admin` and `agent_check` are addresses, None for none. The paths are those of the admin address."""

    admin: str | None = None
    agent_check: str | None = None
    live_path: str = LIVE_PATH
    ready_path: str = READY_PATH


class HealthRecord(Value):
    """The addresses, to go on with in another process."""

    admin: EndpointRecord | None = None
    agent_check: EndpointRecord | None = None


class HealthAddresses:
    """Those of one supervisor. It keeps them for its life."""

    def __init__(
        self,
        options: HealthOptions,
        fleet: Fleet,
        workers: WorkerProcesses,
        listeners: ListenerTable,
        liveness: Liveness,
        publish: Callable[[events.Event], None],
        metrics: Callable[[], str],
    ) -> None:
        """`metrics` tells them as Prometheus reads them."""
        self._options = options
        self._fleet = fleet
        self._liveness = liveness
        self._publish = publish
        pages: dict[str, GivePage] = {
            METRICS_PATH: lambda give: give(Page(200, metrics().encode(), CONTENT_TYPE)),
            options.live_path: self._live,
            options.ready_path: self._ready,
        }
        self._admin_pages = AdminPages(pages)
        self._agent = AgentCheck(lambda: words(fleet, lambda: free_percent(listeners, workers.slots())))
        self._admin: Endpoint | None = None
        self._agent_check: Endpoint | None = None

    @property
    def admin(self) -> str | None:
        return self._admin.address if self._admin is not None else None

    @property
    def agent_check(self) -> str | None:
        return self._agent_check.address if self._agent_check is not None else None

    def open(self) -> None:
        """Listen where the options say. Raises `ListenError`."""
        if self._options.admin is not None:
            self._admin = Endpoint.open(self._options.admin, self._admin_pages)
            self._publish(events.AdminOpened(self._admin.bound))
        if self._options.agent_check is not None:
            self._agent_check = Endpoint.open(self._options.agent_check, self._agent)
            self._publish(events.AgentCheckOpened(self._agent_check.bound))

    def carry(self) -> HealthRecord:
        return HealthRecord(
            admin=self._admin.carry() if self._admin is not None else None,
            agent_check=self._agent_check.carry() if self._agent_check is not None else None,
        )

    def adopt(self, record: HealthRecord) -> None:
        """Go on with what another process carried, whatever the options say."""
        if record.admin is not None:
            self._admin = Endpoint.adopt(record.admin, self._admin_pages)
        if record.agent_check is not None:
            self._agent_check = Endpoint.adopt(record.agent_check, self._agent)

    def close(self) -> None:
        for endpoint in (self._admin, self._agent_check):
            if endpoint is not None:
                endpoint.close()

    def _live(self, give: Callable[[Page], None]) -> None:
        self._liveness.ask(lambda reason: give(_page(reason)))

    def _ready(self, give: Callable[[Page], None]) -> None:
        give(_page(not_ready(self._fleet)))


def _page(reason: str) -> Page:
    return Page(503, f"{reason}\n".encode()) if reason else Page(200, b"ok\n")
