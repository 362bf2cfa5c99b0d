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
import time
from collections.abc import Iterable, Iterator

from gracehttp.supervisor.reloading.selection import Selection
from gracehttp.supervisor.reloading.snapshot import Snapshot
from gracehttp.values import Value, from_plain, to_plain
from gracehttp.wire.channel import Channel, ChannelClosed
from gracehttp.wire.messages import FilesChanged, WatchBegan

FIRST_LOOK_MILLISECONDS = 300
"""How long after the watch has begun what has changed before is looked for."""
POLL_SECONDS = 0.3
"""From the end of a look to the next one, where it looks at intervals, but at least `REST_PER_LOOK` looks' time."""
REST_PER_LOOK = 9
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
    why = ""
    if not (orders.polling or _is_polling_asked_for()):
        try:
            _tell_changes(_by_notifications(orders.folders, snapshot), snapshot, new, channel, why)
        except (OSError, RuntimeError) as exc:
            # No inotify here, or fs.inotify.max_user_watches is used up (inotify(7)). watchfiles raises a RuntimeError
            # when that happens to max_user_instances.
            why = getattr(exc, "strerror", None) or str(exc)
    _tell_changes(_at_intervals(snapshot), snapshot, new, channel, why)


def _tell_changes(
    looks: Iterable[list[str]], snapshot: Snapshot, new: list[str], channel: Channel, why_polling: str
) -> None:
    """`looks` are the files that have changed, look by look. At the first one the watch has begun: `new`, which have
    changed before, are told with it, and taken out."""
    begun = False
    for seen in looks:
        changed = sorted({*new, *seen})
        new.clear()
        if not begun:
            channel.send(WatchBegan(len(snapshot), why_polling))
            begun = True
        if changed:
            names = tuple(snapshot.relative(path) or path for path in changed[:MOST_NAMED])
            channel.send(FilesChanged(names, len(changed) - len(names)))


def _by_notifications(folders: Iterable[str], snapshot: Snapshot) -> Iterator[list[str]]:
    """Look at all files once the system tells of changes, and then at those of which something was heard."""
    from watchfiles import watch as watch_files

    begun = False
    for changes in watch_files(
        *folders,
        watch_filter=None,
        force_polling=False,
        rust_timeout=FIRST_LOOK_MILLISECONDS,
        yield_on_timeout=True,
        ignore_permission_denied=True,
    ):
        if changes or not begun:
            _see_that_folders_can_be_watched()
        yield snapshot.look_at({path for _, path in changes}) if begun else snapshot.look()
        begun = True


def _at_intervals(snapshot: Snapshot) -> Iterator[list[str]]:
    """Look at all files again and again.

    watchfiles polls too, but takes a file's time in whole seconds: a second write within one stays unseen.
    """
    while True:
        began = time.monotonic()
        yield snapshot.look()
        time.sleep(max(POLL_SECONDS, REST_PER_LOOK * (time.monotonic() - began)))


def _is_polling_asked_for() -> bool:
    """Whether `WATCHFILES_FORCE_POLLING` is set, as watchfiles reads it, or this is WSL, which tells of some."""
    asked = os.environ.get("WATCHFILES_FORCE_POLLING")
    if asked:
        return asked.lower() not in {"false", "disable", "disabled"}
    return "microsoft-standard" in os.uname().release.lower()


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
