"""Tells the facts of the lifecycle to their subscribers: logs, the callbacks of the user, the control socket.

A subscriber that raises is reported once and never disturbs the service (promise 7).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from gracehttp.events import Event, SubscriberFailed

Subscriber = Callable[[Event], None]


class EventBus:
    """Tells each fact to each subscriber, in the order in which they subscribed."""

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []
        self._reported: set[int] = set()

    def subscribe(self, subscriber: Subscriber) -> None:
        self._subscribers.append(subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        self._subscribers.remove(subscriber)

    def publish(self, event: Event) -> None:
        """Tell `event` to all subscribers. Never raises: a fact that can't be told is no reason to stop serving."""
        for subscriber in list(self._subscribers):
            try:
                subscriber(event)
            except Exception as exc:  # noqa: BLE001  a subscriber is foreign code, and serving must go on
                self._report(subscriber, exc)

    def _report(self, failed: Subscriber, exc: Exception) -> None:
        if id(failed) in self._reported:
            return
        self._reported.add(id(failed))
        fact = SubscriberFailed(subscriber=getattr(failed, "__qualname__", repr(failed)), reason=repr(exc))
        for subscriber in self._subscribers:
            if subscriber is not failed:
                with contextlib.suppress(Exception):
                    subscriber(fact)
