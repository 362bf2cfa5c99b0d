"""The loop of a process that forks workers on the supervisor's orders, and how each fork becomes the supervisor's.

The template of a generation and the spare process both run it. A worker is forked twice, and the process in between
ends at once. So the supervisor, which adopts orphans (`supervisor.processes.subreaper`), is the parent of all workers.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence

from gracehttp.net.forks import forking_one_of_ours
from gracehttp.wire.channel import Channel, ChannelClosed
from gracehttp.wire.messages import Fork, Forked
from gracehttp.worker.forking.reserves import Reserves


def fork_on_orders(
    orders: Channel,
    begin: Callable[[], None],
    obstacle: Callable[[Fork], str] = lambda order: "",
    reserves: Reserves | None = None,
) -> Fork:
    """Call `begin`, then carry out orders until the supervisor is gone. Returns in the workers only, each of which has
    the descriptors of its order, and writes to the stderr of it.

    `obstacle(order)` tells why this process must not fork that worker; "" if it may. Workers come from `reserves` as
    long as there are some.
    """
    try:
        gc.disable()
        begin()
        while True:
            if reserves is not None and (taken := reserves.fill()) is not None:
                return _become_worker(taken)
            for order in orders.receive():
                if isinstance(order, Fork) and _fork_worker(order, orders, obstacle, reserves):
                    return _become_worker(order)
    except ChannelClosed:
        os._exit(0)  # without the exit handlers of the application: they belong to processes that serve
    except BaseException:  # noqa: BLE001  whatever it is, this process must not go on into the user's script
        sys.excepthook(*sys.exc_info())
        os._exit(1)


def _fork_worker(order: Fork, orders: Channel, obstacle: Callable[[Fork], str], reserves: Reserves | None) -> bool:
    """Carry out one order. True in a worker that is forked now, False here."""
    is_worker = False
    if reason := obstacle(order):
        orders.send(Forked(0, reason))
    elif reserves is not None and (pid := reserves.take(order)):
        orders.send(Forked(pid))
    else:
        try:
            is_worker = fork_orphan(lambda pid: orders.send(Forked(pid)))
        except OSError as exc:
            orders.send(Forked(0, exc.strerror or str(exc)))
    if not is_worker:
        os.close(order.channel)
        os.close(order.stderr)
    elif reserves is not None:
        reserves.close()
    return is_worker


def _become_worker(order: Fork) -> Fork:
    os.dup2(order.stderr, 2)
    os.close(order.stderr)
    gc.enable()
    return order


def fork_orphan(report: Callable[[int], None], without: Sequence[int] = ()) -> bool:
    """Fork a process that the supervisor adopts. True in that process, which does nothing before `report(pid)` is done
    and it has its new parent; False here. Raises `OSError`.

    The new process has no copy of the descriptors in `without`, not even while it can do nothing yet.
    """
    read_end, write_end = os.pipe()
    with _children_waited_for():
        try:
            between = _fork_in_silence()
        except OSError:
            os.close(read_end)
            os.close(write_end)
            raise
        if between == 0 and _fork_between(report, without):
            os.close(write_end)
            os.read(read_end, 1)  # the end of the file: the process in between is gone
            os.close(read_end)
            return True
        os.close(read_end)
        os.close(write_end)
        _pid, status = os.waitpid(between, 0)
    if status:
        failed = os.waitstatus_to_exitcode(status)
        raise OSError(failed, os.strerror(failed) if failed > 0 else f"ended by signal {-failed}")
    return False


@contextlib.contextmanager
def _children_waited_for() -> Iterator[None]:
    """What the application has chosen for SIGCHLD does not act in here, and does again afterwards, in both processes.

    Where SIGCHLD is ignored, no child leaves a status to be waited for (waitpid(2)); and a handler may wait for ours.
    """
    chosen = signal.getsignal(signal.SIGCHLD)
    if chosen is None:  # not a handler of Python's: it could not be put back
        yield
        return
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, chosen)


def _fork_in_silence() -> int:
    with warnings.catch_warnings(), forking_one_of_ours():
        # Python 3.12 warns of a fork when there are threads. We told it already, in our own words (ThreadsNotForked).
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _fork_between(report: Callable[[int], None], without: Sequence[int]) -> bool:
    """True in the grandchild. The process in between ends here, with an errno as its status if it could not fork."""
    status = 1
    try:
        for descriptor in without:
            os.close(descriptor)
        pid = _fork_in_silence()
        if pid == 0:
            return True
        with contextlib.suppress(ChannelClosed):  # the supervisor is gone, which the grandchild will see for itself
            report(pid)
        status = 0
    except OSError as exc:
        status = exc.errno or 1
    except BaseException:  # noqa: BLE001  whatever it is, this process must not go on as a second worker
        sys.excepthook(*sys.exc_info())
    os._exit(status)
