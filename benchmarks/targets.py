"""What gracehttp should reach: mostly a ratio of CPU time per request, ours to a peer's, in one run."""

from __future__ import annotations

from collections.abc import Iterator

from .figures import Target
from .scenes.requests import CPU
from .scenes.restart import FIRST, RATIO
from .scenes.startup import FIRST as SUPERVISOR
from .scenes.startup import REST as WORKERS

_MEMORY = "memory of an idle connection"
EVERY_PEER = ("uvicorn", "gunicorn", "granian", "hypercorn", "h2corn", "peregrine", "freastal")


def _cpu(scene: int, interface: str, **bounds: float) -> Iterator[Target]:
    for peer, bound in bounds.items():
        yield Target(scene, interface, CPU, peer, bound)


TARGETS = (
    *_cpu(1, "asgi", freastal=1.0, granian=0.5, uvicorn=0.3, nginx=1.8),
    *_cpu(2, "asgi", freastal=1.0, granian=0.45, uvicorn=0.3),
    *_cpu(6, "asgi", freastal=1.0, granian=0.6, nginx=1.3),
    *_cpu(10, "asgi", peregrine=0.9, granian=0.55),
    *_cpu(1, "wsgi", granian=0.8),
    *_cpu(2, "wsgi", granian=0.8),
    *_cpu(1, "wsgi0", freastal=1.1),
    *_cpu(2, "wsgi0", freastal=1.1),
    *(Target(7, "asgi", CPU, peer, 1.0) for peer in EVERY_PEER),
    *(Target(scene, "wsgi", CPU, peer, 1.0) for scene in (8, 9) for peer in EVERY_PEER),
    Target(13, "asgi", _MEMORY, "", 532.0),
    Target(14, "asgi", RATIO, "", 1.5),
    Target(14, "asgi", FIRST, "", 100.0),
    Target(15, "asgi", SUPERVISOR, "", 20.0),
    Target(15, "asgi", WORKERS, "", 25.0),
    Target(16, "asgi", "file: throughput", "nginx", 0.8, at_least=True),
)
