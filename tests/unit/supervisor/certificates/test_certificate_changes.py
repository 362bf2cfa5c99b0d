"""When the workers of a generation change their certificates: all, or none."""

from __future__ import annotations

import os

import pytest

from gracehttp.supervisor.certificates.changes import ANSWER_SECONDS, Changes, Do, Loaded, near_their_end
from gracehttp.supervisor.certificates.watch import signature
from gracehttp.wire.messages import CertificateFacts

DAY = 86400.0
FACTS = CertificateFacts("cert.pem", ("localhost",), 0.0, 90 * DAY)
OLD, NEW, OTHER = (Loaded(digest, (FACTS,)) for digest in ("old", "new", "other"))
BEFORE, AFTER = ((1, 1),), ((2, 2),)


def begun(*workers):
    """A generation whose workers use `OLD`, and whose files have been looked at."""
    changes = Changes(("cert.pem",))
    for worker in workers:
        assert changes.loaded(worker, 0, OLD) is Do.NOTHING
    assert [changes.looked(BEFORE, 0.0) for _ in range(2)] == [Do.NOTHING, Do.PREPARE]
    for worker in workers:
        assert changes.loaded(worker, changes.number, OLD) is Do.NOTHING, "they are the same"
    return changes


def changed(*workers):
    changes = begun(*workers)
    assert [changes.looked(AFTER, 1.0) for _ in range(2)] == [Do.NOTHING, Do.PREPARE]
    return changes


def test_files_are_tried_when_they_rest():
    changes = begun(1)
    assert [changes.looked(((n, n),), 1.0) for n in (5, 6, 7, 7)] == [*[Do.NOTHING] * 3, Do.PREPARE]


def test_all_workers_use_it_when_the_last_one_is_ready():
    changes = changed(1, 2)
    assert changes.loaded(1, changes.number, NEW) is Do.NOTHING
    assert changes.used == OLD
    assert changes.loaded(2, changes.number, NEW) is Do.USE
    assert changes.used == NEW
    assert [changes.looked(AFTER, 9.0) for _ in range(3)] == [Do.NOTHING] * 3


def test_none_uses_what_one_has_refused_and_it_is_not_tried_again_before_the_files_change():
    changes = changed(1, 2)
    assert changes.loaded(1, changes.number, NEW) is Do.NOTHING
    assert changes.refused(2, changes.number, "no good") is Do.REFUSE
    assert (changes.reason, changes.used) == ("no good", OLD)
    assert [changes.looked(AFTER, 9.0) for _ in range(3)] == [Do.NOTHING] * 3
    assert [changes.looked(BEFORE, 9.0) for _ in range(2)] == [Do.NOTHING, Do.PREPARE]


def test_what_workers_have_read_at_different_moments_is_read_once_more():
    changes = changed(1, 2)
    changes.loaded(1, changes.number, NEW)
    assert changes.loaded(2, changes.number, OTHER) is Do.NOTHING
    assert changes.used == OLD
    assert changes.looked(AFTER, 2.0) is Do.PREPARE


def test_a_worker_that_ends_is_not_waited_for():
    changes = changed(1, 2)
    changes.loaded(1, changes.number, NEW)
    assert changes.gone(2) is Do.USE
    assert changes.workers == {1}


def test_a_worker_that_hangs_is_not_waited_for_for_ever():
    changes = changed(1, 2)
    changes.loaded(1, changes.number, NEW)
    assert changes.looked(AFTER, 1.0 + ANSWER_SECONDS - 0.1) is Do.NOTHING
    assert changes.looked(AFTER, 1.0 + ANSWER_SECONDS) is Do.USE
    assert changes.workers == {1, 2}, "the order reaches it behind the first one"


def test_when_all_hang_it_is_tried_again():
    changes = changed(1)
    assert changes.looked(AFTER, 1.0 + ANSWER_SECONDS) is Do.NOTHING
    assert changes.looked(AFTER, 12.0) is Do.PREPARE


def test_a_worker_that_starts_with_another_content_makes_all_change():
    changes = begun(1)
    assert changes.loaded(2, 0, NEW) is Do.NOTHING
    assert changes.looked(BEFORE, 5.0) is Do.PREPARE
    assert changes.loaded(1, changes.number, OLD) is Do.NOTHING
    assert changes.loaded(2, changes.number, OLD) is Do.USE, "the second one has used another one"


def test_an_answer_to_an_earlier_change_means_nothing():
    changes = changed(1)
    assert changes.loaded(1, changes.number - 1, NEW) is Do.NOTHING
    assert changes.refused(1, changes.number - 1, "late") is Do.NOTHING
    assert changes.loaded(7, changes.number, NEW) is Do.NOTHING


def test_a_change_that_was_under_way_is_tried_again_by_the_next_supervisor():
    changes = Changes.adopt(changed(1).carry())
    assert (changes.used, changes.workers) == (OLD, {1})
    assert [changes.looked(AFTER, 1.0) for _ in range(2)] == [Do.NOTHING, Do.PREPARE]


@pytest.mark.parametrize(
    ("left", "near"), [(15, None), (13.5, 13), (0.5, 0), (-0.5, -1)], ids=["far", "near", "today", "over"]
)
def test_a_certificate_is_near_its_end_a_fortnight_before(left, near):
    told = near_their_end([FACTS], (90 - left) * DAY)
    assert told == ({} if near is None else {FACTS: near})


def test_one_that_lives_for_days_is_near_its_end_in_its_last_quarter():
    short = CertificateFacts("cert.pem", (), 0.0, 6 * DAY)
    assert near_their_end([short], 4.4 * DAY) == {}
    assert near_their_end([short], 4.6 * DAY) == {short: 1}


def test_each_way_to_change_a_file_changes_its_signature(tmp_path):
    path = tmp_path / "cert.pem"
    found = [signature((str(path),))]

    def look():
        found.append(signature((str(path),)))
        assert found[-1] != found[-2]

    path.write_text("one")
    look()
    path.write_text("other")
    look()
    (tmp_path / "new").write_text("other")
    os.replace(tmp_path / "new", path)
    look()
    for name in ("..1", "..2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cert.pem").write_text("other")
    (tmp_path / "..data").symlink_to("..1")
    path.unlink()
    path.symlink_to("..data/cert.pem")
    look()
    (tmp_path / "tmp").symlink_to("..2")
    os.replace(tmp_path / "tmp", tmp_path / "..data")
    look()
