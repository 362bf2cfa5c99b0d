"""Words that processes share by name."""

from __future__ import annotations

import contextlib
import errno
import os

import pytest

from gracehttp.net.shared_page import SharedPage, anonymous_file

LAYOUT = {"opened": 3, "closed": 2}


@pytest.fixture
def fd():
    made = anonymous_file("test")
    yield made
    os.close(made)


@pytest.mark.parametrize("error", [errno.ENOSYS, errno.EPERM])
def test_a_system_without_memfd_create_has_a_file_without_a_name(monkeypatch, error):
    def missing(*_arguments):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "memfd_create", missing)
    file = anonymous_file("test")
    with contextlib.closing(SharedPage(file, LAYOUT)) as page:
        page.words("closed")[1] = 3
        assert os.fstat(file).st_nlink == 0
    os.close(file)


def test_a_shortage_is_not_taken_for_a_system_without_memfd_create(monkeypatch):
    def short(*_arguments):
        raise OSError(errno.ENFILE, os.strerror(errno.ENFILE))

    monkeypatch.setattr(os, "memfd_create", short)
    with pytest.raises(OSError, match="Too many open files in system"):
        anonymous_file("test")


def test_all_who_have_the_file_see_the_words_of_a_group_and_only_of_that(fd):
    with contextlib.closing(SharedPage(fd, LAYOUT)) as one, contextlib.closing(SharedPage(fd, LAYOUT)) as other:
        one.words("opened")[2] = 2**64 - 1
        one.words("closed")[0] = 7
        assert list(other.words("opened")) == [0, 0, 2**64 - 1]
        assert list(other.words("closed")) == [7, 0]


def test_a_page_of_an_older_release_gets_the_groups_that_are_new(fd):
    with contextlib.closing(SharedPage(fd, {"opened": 3})) as older:
        older.words("opened")[0] = 5
        with contextlib.closing(SharedPage(fd, LAYOUT)) as newer:
            newer.words("closed")[1] = 9
            assert list(newer.words("opened")) == [5, 0, 0]
        assert list(older.words("opened")) == [5, 0, 0]


def test_a_page_of_a_newer_release_keeps_what_this_one_does_not_know(fd):
    with contextlib.closing(SharedPage(fd, LAYOUT)) as newer:
        newer.words("closed")[1] = 9
        SharedPage(fd, {"opened": 3}).close()
        assert newer.words("closed")[1] == 9


def test_words_can_not_be_used_after_the_page_is_closed(fd):
    page = SharedPage(fd, LAYOUT)
    words = page.words("opened")
    page.close()
    with pytest.raises(ValueError, match="released"):
        words[0] = 1


def test_a_file_without_memfd_is_as_good(monkeypatch):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    test_file = anonymous_file("test")
    try:
        with contextlib.closing(SharedPage(test_file, LAYOUT)) as page:
            page.words("closed")[1] = 3
    finally:
        os.close(test_file)


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="other files can't be sealed")
def test_no_process_can_make_a_page_shorter(fd):
    """Who reads a page of a file that has become too short is ended by SIGBUS; and a worker has the file too."""
    with contextlib.closing(SharedPage(fd, LAYOUT)) as page:
        with pytest.raises(PermissionError):
            os.ftruncate(fd, 0)
        page.words("closed")[1] = 3
    os.ftruncate(fd, 4096)  # a newer release may make it longer
