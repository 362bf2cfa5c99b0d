"""The spare process: it has loaded what every worker needs, and nothing of the application. It forks workers on orders,
so that they need not load that (docs/decisions/0034-a-spare-process.md).

It is the same command line as a worker, run at leisure. Before it reads any option it waits, and so each worker that it
forks reads them anew. The supervisor's side is `supervisor.processes.spare`.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Callable, MutableMapping
from typing import NoReturn

from gracehttp.config.release_links import look_up_links_again
from gracehttp.system.process_title import set_title
from gracehttp.wire.channel import Channel, ChannelClosed
from gracehttp.wire.lineage import CHANNEL_VARIABLE, SPARE_VARIABLE, claim_socket
from gracehttp.wire.messages import Fork, TemplateBegan
from gracehttp.worker.code_record import note_ahead
from gracehttp.worker.forking.fork_server import fork_on_orders, fork_orphan
from gracehttp.worker.forking.loaded import Loaded, changed, difference, loaded_now, looked_up_again, unfit
from gracehttp.worker.forking.reserves import Reserves
from gracehttp.worker.forking.spare_option import is_the_command
from gracehttp.worker.rehearsal import rehearse_ahead

MODULES = (
    "gracehttp.cli.service",
    "gracehttp.api",
    "gracehttp.embedded",
    "gracehttp.worker.process",
    "gracehttp.applications.asgi.application",
    "gracehttp.applications.wsgi.modes",
    "gracehttp.http.http1.protocol",
    "gracehttp.http.http2.protocol",
    "gracehttp.http.websocket.protocol",
    "websockets.extensions.permessage_deflate",
    "websockets.headers",
    "websockets.protocol",
    "uvloop",
)
"""What a worker imports before it is ready, besides its application."""


def wait_if_spare(environ: MutableMapping[str, str], prepare: Callable[[], None]) -> None:
    """If this process was started as the spare one, wait for orders. It then returns in workers only, which may go on
    as if they had been started just now. `prepare` is called before: what it makes, all workers have."""
    if SPARE_VARIABLE not in environ:
        return
    sock = claim_socket(environ, SPARE_VARIABLE)
    if sock is None:
        return
    sock.setblocking(True)
    orders = Channel(sock)
    if not is_the_command():
        _decline(orders, f"{sys.argv[0]} is another program than gracehttp")
    for name in MODULES:
        with contextlib.suppress(ImportError):  # of what is optional
            importlib.import_module(name)
    if reason := unfit(loaded_now(), orders.fileno()):
        _decline(orders, reason)
    with contextlib.suppress(OSError, RuntimeError):  # of what the system lacks, and of a loop that could not begin
        rehearse_ahead()
    prepare()
    loaded = loaded_now()
    note_ahead()
    if reason := changed(loaded):  # behind all that is compared with later: what changes from here on is noticed then
        _decline(orders, reason)

    def begin() -> None:
        set_title("gracehttp: spare", "gracehttp-spare")
        gc.collect()
        gc.freeze()  # a collection would write to all objects, and end the sharing of their memory
        orders.send(TemplateBegan(os.getpid()))

    order = fork_on_orders(orders, begin, lambda order: _obstacle(order, loaded), Reserves(orders, fork_orphan))
    orders.close()
    environ.update(order.variables)
    look_up_links_again(environ)
    environ[CHANNEL_VARIABLE] = str(order.channel)


def decline_to_be_spare(environ: MutableMapping[str, str]) -> None:
    """End this process if it was started as the spare one: it has come to `run()` by another way than `wait_if_spare`,
    and would become one more supervisor."""
    sock = claim_socket(environ, SPARE_VARIABLE)
    if sock is not None:
        _decline(Channel(sock), "the program does not begin with gracehttp.cli.main()")


def _decline(orders: Channel, reason: str) -> NoReturn:
    with contextlib.suppress(ChannelClosed):
        orders.send(TemplateBegan(0, reason))
    raise SystemExit


def _obstacle(order: Fork, loaded: Loaded) -> str:
    """Why a fresh process must be started instead, "" if it need not be."""
    if order.directory:
        try:
            os.chdir(order.directory)
        except OSError as exc:
            return f"{order.directory}: {exc.strerror}"
    return difference(loaded, looked_up_again(loaded))
