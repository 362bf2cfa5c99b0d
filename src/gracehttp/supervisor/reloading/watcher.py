"""The process that watches files for `--reload`: a child of the supervisor, which runs this module.

It tells what has changed on its channel, and ends when the supervisor closes that, by whatever way it ends itself.
The signals of a terminal are for the supervisor: they stay blocked, as `spawn` has left them.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import socket
import sys
import threading
from collections.abc import Iterable, Iterator

from gracehttp.supervisor.reloading.selection import Selection
from gracehttp.supervisor.reloading.snapshot import Snapshot
from gracehttp.values import Value, from_plain, to_plain
from gracehttp.wire.channel import Channel, ChannelClosed
from gracehttp.wire.messages import FilesChanged, WatchBegan

FIRST_LOOK_MILLISECONDS = 300
"""How long after the watch has begun what has changed before is looked for."""
MOST_NAMED = 20
_IN_DELETE_SELF = 0x400  # inotify(7)
_MODULE = "gracehttp.supervisor.reloading.watcher"


class WatcherOrders(Value):
    """What the supervisor tells the process, as its only argument. `channel` is the number of a descriptor.

    What has changed after `since`, a time of the clock of files (time(2)), is told even if it was before the watch.
    """

    channel: int
    folders: tuple[str, ...]
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    polling: bool
    since: float


def arguments(orders: WatcherOrders) -> tuple[str, ...]:
    """The command line that watches."""
    # -P: the working directory is the application's, and a module of it may have the name of one that is used here.
    return (sys.executable, "-P", "-m", _MODULE, json.dumps(to_plain(orders)))


def main() -> None:
    orders = from_plain(WatcherOrders, json.loads(sys.argv[1]))
    sock = socket.socket(fileno=orders.channel)
    sock.set_inheritable(False)
    threading.Thread(target=_end_with_the_supervisor, args=(sock,), daemon=True).start()
    try:
        watch(orders, Channel(sock))
    except ChannelClosed:
        return


def watch(orders: WatcherOrders, channel: Channel) -> None:
    """Tell what changes, until the supervisor is gone: then this raises `ChannelClosed`."""
    snapshot = Snapshot(orders.folders, Selection(orders.include, orders.exclude))
    new = [path for path in snapshot.look() if _modified_at(path) > orders.since]
    polling, why = orders.polling, ""
    while True:
        try:
            _tell_changes(_heard(orders.folders, polling=polling), snapshot, new, channel, why)
        except (OSError, RuntimeError) as exc:
            if polling:
                raise
            # No inotify here, or fs.inotify.max_user_watches is used up (inotify(7)). watchfiles raises a RuntimeError
            # when that happens to max_user_instances.
            polling, why = True, getattr(exc, "strerror", None) or str(exc)


def _tell_changes(
    heard: Iterable[set[str]], snapshot: Snapshot, new: list[str], channel: Channel, why_polling: str
) -> None:
    begun = False
    for paths in heard:
        if begun:
            changed = snapshot.look_at(paths)
        else:
            changed = sorted({*new, *snapshot.look()})
            channel.send(WatchBegan(len(snapshot), why_polling))
            begun = True
        if changed:
            names = tuple(snapshot.relative(path) or path for path in changed[:MOST_NAMED])
            channel.send(FilesChanged(names, len(changed) - len(names)))


def _heard(folders: Iterable[str], *, polling: bool) -> Iterator[set[str]]:
    """The paths of which something was heard, as often as something is; at first, and now and then, none."""
    from watchfiles import watch as watch_files

    forced = True if polling else None  # None leaves it to WATCHFILES_FORCE_POLLING
    begun = False
    for changes in watch_files(
        *folders,
        watch_filter=None,
        force_polling=forced,
        rust_timeout=FIRST_LOOK_MILLISECONDS,
        yield_on_timeout=True,
        ignore_permission_denied=True,
    ):
        if not polling and (changes or not begun):
            _see_that_folders_can_be_watched()
        begun = True
        yield {path for _, path in changes}


def _see_that_folders_can_be_watched() -> None:
    """Raises `OSError` if the user has no watch left: then watchfiles leaves folders out, without a word."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "inotify_init1"):
        return  # not Linux
    notifier = libc.inotify_init1(os.O_CLOEXEC)  # IN_CLOEXEC (inotify_init(2))
    if notifier < 0:
        return  # no second instance; the first one may be all right
    try:
        if libc.inotify_add_watch(notifier, b"/", _IN_DELETE_SELF) < 0 and ctypes.get_errno() == errno.ENOSPC:
            raise OSError(errno.ENOSPC, "no watches are left: fs.inotify.max_user_watches")
    finally:
        os.close(notifier)


def _modified_at(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0


def _end_with_the_supervisor(sock: socket.socket) -> None:
    sock.recv(1)  # nothing is ever sent here
    os._exit(0)


if __name__ == "__main__":
    main()
