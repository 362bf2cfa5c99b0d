"""The addresses at which the supervisor answers, as its options name them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gracehttp import events
from gracehttp.supervisor.endpoints.agent_check import AgentCheck, words
from gracehttp.supervisor.endpoints.endpoint import Endpoint, EndpointRecord, Responder
from gracehttp.supervisor.endpoints.health import Liveness, free_percent, not_ready
from gracehttp.supervisor.endpoints.http_pages import HttpPages, Page
from gracehttp.supervisor.fleet import Fleet
from gracehttp.supervisor.listeners.table import ListenerTable
from gracehttp.supervisor.metrics.exposition import CONTENT_TYPE
from gracehttp.supervisor.processes.workers import WorkerProcesses
from gracehttp.values import EMPTY, Value

LIVE_PATH = "/livez"
READY_PATH = "/readyz"
METRICS_PATH = "/metrics"

_OPENED: Mapping[str, Callable[[str], events.Event]] = {
    "admin": events.AdminOpened,
    "agent_check": events.AgentCheckOpened,
    "metrics": events.MetricsServed,
}
"""The options that name an address, in the order in which they are opened, and what is told of it then."""


class AddressOptions(Value):
    """`admin`, `agent_check` and `metrics` are addresses, None for none. The paths are those of the admin address."""

    admin: str | None = None
    agent_check: str | None = None
    metrics: str | None = None
    live_path: str = LIVE_PATH
    ready_path: str = READY_PATH


class AddressesRecord(Value):
    """The endpoints by the options that named them, to go on with in another process."""

    admin: EndpointRecord | None = None
    agent_check: EndpointRecord | None = None
    metrics: EndpointRecord | None = None


class Addresses:
    """The addresses of one supervisor, for its life. `metrics()` returns the text that Prometheus reads."""

    def __init__(
        self,
        options: AddressOptions,
        fleet: Fleet,
        workers: WorkerProcesses,
        listeners: ListenerTable,
        liveness: Liveness,
        publish: Callable[[events.Event], None],
        metrics: Callable[[], str],
    ) -> None:
        self._options = options
        self._publish = publish

        def live(give: Callable[[Page], None]) -> None:
            liveness.ask(lambda reason: give(_page(reason)))

        def ready(give: Callable[[Page], None]) -> None:
            give(_page(not_ready(fleet)))

        def count(give: Callable[[Page], None]) -> None:
            give(Page(200, metrics().encode(), CONTENT_TYPE))

        self._responders: dict[str, Responder] = {
            "admin": HttpPages({METRICS_PATH: count, options.live_path: live, options.ready_path: ready}),
            "agent_check": AgentCheck(lambda: words(fleet, lambda: free_percent(listeners, workers.slots()))),
            "metrics": HttpPages(EMPTY, at_other_paths=count),
        }
        self._endpoints: dict[str, Endpoint] = {}

    def of(self, option: str) -> str | None:
        """The address that `option` has named, `admin` for example; None if there is none."""
        endpoint = self._endpoints.get(option)
        return endpoint.address if endpoint is not None else None

    def open(self) -> None:
        """Listen where the options say. Raises `ListenError`."""
        for option, opened in _OPENED.items():
            address = getattr(self._options, option)
            if address is not None:
                self._endpoints[option] = endpoint = Endpoint.open(address, self._responders[option])
                self._publish(opened(endpoint.bound))

    def carry(self) -> AddressesRecord:
        return AddressesRecord(**{option: endpoint.carry() for option, endpoint in self._endpoints.items()})

    def adopt(self, record: AddressesRecord) -> None:
        """Go on with what another process carried, whatever the options say."""
        for option, endpoint in record.fields().items():
            if endpoint is not None:
                self._endpoints[option] = Endpoint.adopt(endpoint, self._responders[option])

    def close(self) -> None:
        for endpoint in self._endpoints.values():
            endpoint.close()


def _page(reason: str) -> Page:
    return Page(503, f"{reason}\n".encode()) if reason else Page(200, b"ok\n")
