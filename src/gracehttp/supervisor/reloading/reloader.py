"""The supervisor's side of `--reload`: its watcher process, and the restarts that changes cause."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence

from gracehttp import events
from gracehttp.events import Event
from gracehttp.supervisor.processes.command_line import Launch
from gracehttp.supervisor.processes.debugger import is_attached
from gracehttp.supervisor.processes.process import describe_exit
from gracehttp.supervisor.processes.spawning import spawn
from gracehttp.supervisor.reloading.changes import Changes, Verdict
from gracehttp.supervisor.reloading.watcher import WatcherOrders, arguments
from gracehttp.values import Value
from gracehttp.wire.channel import Channel, channel_pair
from gracehttp.wire.channel_watch import ChannelWatch, Loss
from gracehttp.wire.messages import FilesChanged, Message, WatchBegan


class ReloadSettings(Value):
    """What `--reload` watches. `folders` are absolute. See `Selection` for the patterns."""

    folders: tuple[str, ...]
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    polling: bool = False


class Reloader:
    """`start` begins to watch. `restart(source)` is called when a change wants it, in a turn of the loop of its own.

    `watch_child(pid, on_end)` is `Children.watch`. `stderr` becomes that of the watcher.
    """

    def __init__(
        self,
        settings: ReloadSettings,
        *,
        watch_child: Callable[[int, Callable[[int], None]], None],
        publish: Callable[[Event], None],
        restart: Callable[[str], None],
        stderr: int,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._watch_child = watch_child
        self._publish = publish
        self._restart = restart
        self._stderr = stderr
        self._changes = Changes()
        self._restarting = False
        self._channel: Channel | None = None
        self._watch: ChannelWatch | None = None

    def start(self) -> None:
        """Start the watcher. If that fails, the service goes on without."""
        settings = self._settings
        self._channel, theirs = channel_pair()
        with theirs:
            orders = WatcherOrders(
                channel=theirs.fileno(),
                folders=settings.folders,
                include=settings.include,
                exclude=settings.exclude,
                polling=settings.polling,
                since=time.time(),
            )
            # A debugger follows each Python that is started, and this one is none of the user's.
            prefix = ["/usr/bin/env"] if is_attached() else []
            executable, *rest = [*prefix, *arguments(orders)]
            try:
                pid = spawn(
                    Launch(executable, (executable, *rest), os.sep),
                    {},
                    pass_fds=(theirs.fileno(),),
                    stderr=self._stderr,
                )
            except OSError as exc:
                self.close()
                self._publish(events.WatcherLost(f"could not be started ({exc.strerror or exc})"))
                return
        self._watch = ChannelWatch(
            self._channel, on_messages=self._received, on_lost=self._lost, on_shortage=lambda _: None
        )
        self._watch_child(pid, self._ended)

    def close(self) -> None:
        """End the watcher, which ends by itself when its channel is closed."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def look(self, *, restarting: bool) -> None:
        """To be called after each turn of the fleet. `restarting` tells whether a generation is coming."""
        if restarting:
            self._restarting = True
            self._changes.restart_began()
        elif self._restarting:
            self._restarting = False
            self._follow(self._changes.restart_ended(self._loop.time()))

    def _received(self, received: Sequence[Message]) -> None:
        for message in received:
            match message:
                case WatchBegan(files, why_polling):
                    self._publish(events.FilesWatched(self._settings.folders, files, why_polling))
                case FilesChanged(files, more):
                    named = (*files, f"{more} more") if more else files
                    self._follow(self._changes.noticed(named, self._loop.time()))

    def _follow(self, verdict: Verdict) -> None:
        if verdict.written_at_each_start:
            self._publish(events.FilesWrittenAtStart(verdict.written_at_each_start))
        if verdict.restart_for:
            self._loop.call_soon(self._restart_if_watching, f"a change of {_named(verdict.restart_for)}")

    def _restart_if_watching(self, source: str) -> None:
        if self._channel is not None:
            self._restart(source)

    def _lost(self, _loss: Loss) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None  # its end is told when it is reaped

    def _ended(self, status: int) -> None:
        if self._channel is not None:
            self.close()
            self._publish(events.WatcherLost(describe_exit(os.waitstatus_to_exitcode(status))))


def _named(files: Sequence[str]) -> str:
    """One file, or several in short."""
    if len(files) <= 3:
        return ", ".join(files)
    return f"{', '.join(files[:3])} and {len(files) - 3} more"
