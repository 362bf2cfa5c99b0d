"""Which code each generation started with, as far as the supervisor has to do with it."""

from __future__ import annotations

import os

import pytest

from gracehttp.supervisor.processes.code_records import CodeRecords
from gracehttp.values import Descriptor


def record():
    return Descriptor(os.memfd_create("test", os.MFD_CLOEXEC))


def test_the_first_record_of_a_generation_counts_and_later_ones_are_closed():
    codes = CodeRecords()
    first, second = record(), record()
    codes.keep(1, first)
    codes.keep(1, second)
    assert codes.of(1) == first
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(second)
    codes.forget(1)


def test_the_record_of_a_generation_that_is_gone_is_closed():
    codes = CodeRecords()
    one = record()
    codes.keep(1, one)
    codes.forget(1)
    codes.forget(1)
    assert codes.of(1) is None
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(one)


def test_the_next_image_of_the_supervisor_goes_on_with_the_records():
    before = CodeRecords()
    one = record()
    before.keep(3, one)
    after = CodeRecords(before.carry())
    assert after.of(3) == one
    after.forget(3)
