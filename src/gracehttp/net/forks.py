"""What a process that the application forks must not keep of this one: its sockets, and its answers to signals.

A forked child is a copy. execve(2) closes our descriptors and resets our signal handlers, but some children execute
nothing, such as the workers of multiprocessing.

- A copy of a listener would hold the port after the server has ended, with a queue that is not served. One of a
  connection would keep it open: a reset, or the end of a worker that was killed, would not reach the client before the
  child ends.
- A worker leaves signals to its supervisor. A child that did so too could not be terminated, and a process that waits
  for its end (`Pool.terminate`, the exit handler of multiprocessing) would wait forever. So a child answers signals as
  this process did before it was a worker.
- The descriptor that wakes up the event loop (signal.set_wakeup_fd) leads to the loop of this process: a signal to the
  child would be told here. Python 3.12 takes it from children itself.

The signals are blocked from before the fork until the child answers them in its own way. So one that comes at once is
not lost to a handler of ours (signal(7): the mask is copied, what is pending is not).
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FrameType
from typing import Any, Protocol

Handler = Callable[[int, FrameType | None], Any] | int | None
"""As `signal.getsignal` returns it: None is one that Python has not installed."""


class Watcher(Protocol):
    """What knows the descriptors of connections: a poller."""

    @property
    def descriptors(self) -> Iterable[int]: ...


class _OfThread(threading.local):
    """What the hooks know of the fork that this thread makes. The child has the same thread, and so the same values."""

    makes_one_of_ours = False
    blocked: frozenset[int] = frozenset()


_listeners: weakref.WeakSet[socket.socket] = weakref.WeakSet()
_watchers: weakref.WeakSet[Watcher] = weakref.WeakSet()
_answers: dict[int, tuple[Handler, Handler]] = {}
"""By signal: the handler of this process, and the one for its children."""
_fork = _OfThread()


def close_in_children(listener: socket.socket) -> None:
    """Close the copies of `listener` in all processes that this one forks from now on."""
    _listeners.add(listener)


def disconnect_in_children(watcher: Watcher) -> None:
    """Close the copies of the connections that `watcher` has, in all processes that this one forks from now on."""
    _watchers.add(watcher)


def restore_in_children(handlers: Mapping[signal.Signals, Handler]) -> None:
    """Let processes that are forked from now on answer these signals with `handlers`, not as this process does now.

    A handler that the application installs later, in place of the one of now, is its children's too.
    """
    for number, handler in handlers.items():
        now = signal.getsignal(number)
        if handler != now:
            _answers[number] = now, signal.SIG_DFL if handler is None else handler


@contextlib.contextmanager
def forking_one_of_ours() -> Iterator[None]:
    """A process that is forked in here goes on as we do: it keeps all."""
    _fork.makes_one_of_ours = True
    try:
        yield
    finally:
        _fork.makes_one_of_ours = False


def _before() -> None:
    _fork.blocked = frozenset()
    if not _fork.makes_one_of_ours:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _answers)
        _fork.blocked = frozenset(_answers) - before


def _in_parent() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _fork.blocked)


def _in_child() -> None:
    if _fork.makes_one_of_ours:
        return
    try:
        _answer_as_before()
        _close_all()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _fork.blocked)


def _answer_as_before() -> None:
    signal.set_wakeup_fd(-1)
    for number, (ours, before) in _answers.items():
        if signal.getsignal(number) == ours:
            signal.signal(number, before)
    _answers.clear()


def _close_all() -> None:
    for listener in list(_listeners):
        listener.close()
    with contextlib.suppress(OSError):  # the table of descriptors is full
        null = os.open(os.devnull, os.O_RDWR)
        try:
            # Not closed: objects of the child still have the numbers, which must not become those of other files.
            for watcher in list(_watchers):
                for descriptor in watcher.descriptors:
                    os.dup2(null, descriptor, inheritable=False)
        finally:
            os.close(null)


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
