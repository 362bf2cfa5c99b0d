"""HAProxy's agent-check: a line of words for each client, at once (HAProxy configuration manual, section 5.2)."""

from __future__ import annotations

from collections.abc import Callable

from gracehttp.supervisor.endpoints.endpoint import Client
from gracehttp.supervisor.endpoints.health import not_ready
from gracehttp.supervisor.fleet import Fleet


def words(fleet: Fleet, free_percent: Callable[[], int]) -> str:
    """What HAProxy is to do with this server.

    `drain`: send what belongs to a session that it has already, and nothing else; the service will stop. `maint`: send
    nothing; no worker serves. `ready`: send as much of its weight as the service has free connections. `up` undoes a
    `down` of earlier days, and leaves it to the checks of HAProxy whether the server is up.
    """
    if fleet.stopping:
        return "drain"
    if not_ready(fleet):
        return "maint"
    return f"up ready {free_percent()}%"


class AgentCheck:
    """Answers at an address for agent-checks. `say()` returns the words."""

    def __init__(self, say: Callable[[], str]) -> None:
        self._say = say

    def begin(self, client: Client) -> None:
        """See `endpoint.Responder`. What HAProxy sends (agent-send) is not needed."""
        client.answer(f"{self._say()}\n".encode())

    def receive(self, client: Client, data: bytes) -> None:
        """See `endpoint.Responder`."""
