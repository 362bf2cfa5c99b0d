"""The screen of `gracehttp top`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import DataTable, Footer, ProgressBar, RichLog, Sparkline, Static

from gracehttp.cli.live.figures import PERCENTILES, Figures, figures
from gracehttp.cli.live.source import Look
from gracehttp.config.units import format_duration
from gracehttp.errors import CommandFailed
from gracehttp.wire.control import RecentEvent

_HISTORY = 120
_COLUMNS = ("GENERATION", "STATE", "WORKER", "PID", "WORKER STATE", "MEMORY", "CPU")
_COLORS = {"error": "red", "notice": "bold"}
_NOT_COUNTED = "-"


class Top(App[None]):
    """`look()` asks the service. It is called on a thread, every `seconds`; it may raise `CommandFailed`."""

    TITLE = "gracehttp top"
    BINDINGS: ClassVar = [("q", "quit", "Quit"), ("space", "pause", "Pause")]
    CSS = """
    #service { height: 1; padding: 0 1; background: $panel; }
    #tiles { height: 7; }
    .tile { border: round $primary; padding: 0 1; width: 1fr; height: 7; }
    .tile Static { height: auto; }
    Sparkline { height: 2; margin: 1 0 0 0; }
    ProgressBar { margin: 1 0 0 0; }
    #workers { height: 1fr; border: round $primary; }
    #events { height: 1fr; border: round $primary; }
    """

    def __init__(self, look: Callable[[], Look], *, seconds: float = 1.0) -> None:
        super().__init__()
        self._look = look
        self._seconds = seconds
        self._last: Look | None = None
        self._paused = False
        self._told: list[RecentEvent] = []
        self._rates: deque[float] = deque(maxlen=_HISTORY)

    def compose(self) -> ComposeResult:
        yield Static(id="service")
        with Horizontal(id="tiles"):
            with _tile("Requests"):
                yield Static(id="requests")
                yield Sparkline([0.0], id="history")
            with _tile("Latency"):
                yield Static(id="latency")
            with _tile("Connections"):
                yield Static(id="connections")
                yield ProgressBar(total=100, show_eta=False, id="limit")
        yield DataTable(id="workers", cursor_type="none", zebra_stripes=True)
        yield RichLog(id="events", wrap=True, highlight=False)
        yield Footer()

    def on_mount(self) -> None:
        self.query_one("#workers", DataTable).add_columns(*_COLUMNS)
        self.query_one("#workers").border_title = "Workers"
        self.query_one("#events").border_title = "Events"
        self.run_worker(self._watch())

    def action_pause(self) -> None:
        """Stop looking, or go on."""
        self._paused = not self._paused

    async def _watch(self) -> None:
        """Until the screen is closed, which cancels this."""
        while True:
            if not self._paused:
                found = await asyncio.to_thread(self._try_to_look)  # the supervisor may take its time
                if not self.query("#service"):
                    return  # the widgets go before this is cancelled
                if isinstance(found, Look):
                    self.show(found)
                else:
                    self.show_failure(found)
            await asyncio.sleep(self._seconds)

    def _try_to_look(self) -> Look | CommandFailed:
        try:
            return self._look()
        except CommandFailed as exc:
            return exc

    def show_failure(self, error: CommandFailed) -> None:
        """What was seen last stays."""
        self.query_one("#service", Static).update(Text(error.message, style="bold red"))

    def show(self, look: Look) -> None:
        """Show one look; with the one before it, also rates."""
        before = self._last
        if before is not None and look.at <= before.at:
            return
        self._last = look
        known = Figures()
        if before is not None:
            known = figures(before.samples, look.samples, look.at - before.at)
        self._show_service(look)
        self._show_requests(known)
        self._show_connections(look, known)
        self._show_workers(look, known)
        self._show_events(look.events)

    def _show_service(self, look: Look) -> None:
        status = look.status
        serving = [str(one.generation) for one in status.generations if one.state == "serving"]
        coming = [str(one.generation) for one in status.generations if one.state == "starting"]
        parts = [
            f"gracehttp {status.version}",
            f"pid {status.pid}",
            f"up {format_duration(int(status.uptime_seconds))}",
            f"generation {serving[0]} serves" if serving else "nothing serves",
            *(f"generation {one} starts" for one in coming),
        ]
        self.query_one("#service", Static).update(Text("   ".join(parts), style="bold"))

    def _show_requests(self, known: Figures) -> None:
        rate = known.requests_per_second
        if rate is None:
            text = f"{_NOT_COUNTED}\nrequests are counted with --metrics"
        else:
            self._rates.append(rate)
            text = f"{rate:,.0f} per second, {known.errors_per_second or 0:,.1f} of them 5xx"
            self.query_one("#history", Sparkline).data = list(self._rates)
        self.query_one("#requests", Static).update(text)
        found = known.percentiles_seconds
        lines = [f"p{one:<3} {_milliseconds(found[one]) if found else _NOT_COUNTED}" for one in PERCENTILES]
        self.query_one("#latency", Static).update("\n".join(lines))

    def _show_connections(self, look: Look, known: Figures) -> None:
        listeners = look.status.listeners
        opened = sum(one.open_connections or 0 for one in listeners)
        limit = sum(one.max_connections for one in listeners)
        lines = [f"{opened:,} of {limit:,} open"]
        if known.sent_bytes_per_second is not None and known.received_bytes_per_second is not None:
            received, sent = _size(known.received_bytes_per_second), _size(known.sent_bytes_per_second)
            lines.append(f"in {received}/s, out {sent}/s")
        self.query_one("#connections", Static).update("\n".join(lines))
        self.query_one("#limit", ProgressBar).update(total=max(1, limit), progress=opened)

    def _show_workers(self, look: Look, known: Figures) -> None:
        table = self.query_one("#workers", DataTable)
        table.clear()
        for generation in look.status.generations:
            for worker in generation.workers:
                number = str(worker.worker)
                memory, cpu = known.memory_bytes_of.get(number), known.cpu_share_of.get(number)
                table.add_row(
                    str(generation.generation),
                    _words(generation.state),
                    number,
                    str(worker.pid or _NOT_COUNTED),
                    _words(worker.state),
                    _size(memory) if memory is not None else _NOT_COUNTED,
                    f"{cpu:.0%}" if cpu is not None else _NOT_COUNTED,
                )

    def _show_events(self, events: Iterable[RecentEvent]) -> None:
        log = self.query_one("#events", RichLog)
        new = [event for event in events if event not in self._told]
        self._told = list(events)
        for event in new:
            at = datetime.fromtimestamp(event.at).strftime("%H:%M:%S")
            log.write(Text(f"{at}  {event.sentence}", style=_COLORS.get(event.severity, "")))


def _tile(title: str) -> Vertical:
    tile = Vertical(classes="tile")
    tile.border_title = title
    return tile


def _words(state: str) -> str:
    return state.replace("_", " ")


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _size(number: float) -> str:
    for unit in ("B", "KB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"
