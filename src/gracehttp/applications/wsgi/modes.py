"""The two ways in which a WSGI application is called: in threads, or on the event loop. Puts their parts together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from gracehttp.applications.drain_notice import ThreadDrainNotice
from gracehttp.applications.wsgi.application import WsgiApplication
from gracehttp.applications.wsgi.environ import environ_template
from gracehttp.applications.wsgi.in_flight import InFlight
from gracehttp.applications.wsgi.lifespan import Function, Lifespan
from gracehttp.applications.wsgi.on_loop import WsgiOnLoop
from gracehttp.applications.wsgi.threads import ThreadPool


def wrap(
    app: Callable[..., Any],
    *,
    name: str,
    loop: asyncio.AbstractEventLoop,
    threads: int,
    multiprocess: bool,
    draining: ThreadDrainNotice,
    on_idle: Callable[[], object],
    startup: Function | None = None,
    shutdown: Function | None = None,
    timed: bool = False,
) -> WsgiApplication | WsgiOnLoop:
    """`app` as an `Application`, with `threads` threads of its own; on the loop if that is 0.

    `name` is what the log calls it. `multiprocess` tells it whether other processes run it as well. It finds `draining`
    in the environ as `gracehttp.draining`. `on_idle` is called on the thread of the loop each time `in_flight` has come
    down to 0. `startup` and `shutdown` are called in each worker. With `timed`, `time_out` will be called.
    """
    requests = InFlight(on_idle, timed=timed)
    lifespan = Lifespan(startup, shutdown, name)
    template = environ_template(multithread=threads > 1, multiprocess=multiprocess, draining=draining)
    if not threads:
        return WsgiOnLoop(app, name=name, loop=loop, requests=requests, lifespan=lifespan, template=template)
    pool = ThreadPool(threads)
    return WsgiApplication(
        app, name=name, loop=loop, requests=requests, lifespan=lifespan, template=template, pool=pool
    )
