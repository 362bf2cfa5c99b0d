"""The time slice of a worker that serves, as the kernel has it."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
import threading

import pytest

from gracehttp.compiled import BUILD
from gracehttp.net.time_slice import SHORTEST_NANOSECONDS, take_short_turns, take_usual_turns

SCHED_GETATTR = 315  # of x86_64 (unistd_64.h)
ATTRIBUTES = struct.Struct("IIQiIQQQ")  # struct sched_attr in its first version (sched_setattr(2))


def slice_nanoseconds():
    """That of the thread that calls; only Linux 6.12 and later tell it."""
    attributes = ctypes.create_string_buffer(ATTRIBUTES.size)
    assert ctypes.CDLL(None).syscall(SCHED_GETATTR, 0, attributes, ATTRIBUTES.size, 0) == 0
    return ATTRIBUTES.unpack(attributes.raw)[5]


def in_a_thread(call):
    """A slice is a thread's own."""
    found = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64" or not BUILD.compiled,
    reason="compiled modules make the call, and its number here is that of x86_64",
)
def test_short_turns_are_the_shortest_that_the_kernel_has_and_can_be_given_back():
    usual = slice_nanoseconds()
    if not usual:
        pytest.skip("this kernel tells no time slice: it is older than Linux 6.12")

    def scenario():
        policy, nice = os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        assert take_short_turns()
        assert slice_nanoseconds() == SHORTEST_NANOSECONDS < usual
        assert (os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())) == (policy, nice)
        assert take_usual_turns()
        return slice_nanoseconds() == usual

    assert in_a_thread(scenario)


@pytest.mark.skipif(BUILD.compiled, reason="compiled modules make the call")
def test_interpreted_the_turns_stay_as_they_are():
    assert not take_short_turns()
