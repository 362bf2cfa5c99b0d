"""Which files a reload is about, what counts as a change, and when it restarts."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from gracehttp.supervisor.reloading import snapshot as snapshots
from gracehttp.supervisor.reloading import watcher
from gracehttp.supervisor.reloading.changes import MOST_IN_A_ROW, SOON_SECONDS, Changes, Verdict
from gracehttp.supervisor.reloading.selection import Selection
from gracehttp.supervisor.reloading.snapshot import COARSEST_TIMESTAMP_SECONDS, Snapshot
from gracehttp.wire.channel import ChannelClosed

# --- which files ---


@pytest.mark.parametrize("path", ["main.py", "a/b/c.py", "build/x.py"])
def test_python_files_count(path) -> None:
    assert Selection().takes(path)


@pytest.mark.parametrize(
    "path",
    [
        "main.pyc", "data.json", "main.py~", ".main.py.swp", "__pycache__/main.py", "a/.git/hook.py", ".venv/lib/x.py",
        "node_modules/gyp/x.py", "a/.#main.py", "gracehttp.egg-info/x.py", "env/lib/python3.11/site-packages/x.py",
    ],
)  # fmt: skip
def test_what_no_person_writes_does_not_count(path) -> None:
    assert not Selection().takes(path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*.html", "a/b/page.html"), (".env", ".env"), (".env", "deploy/.env"), ("templates", "templates/a/page.txt"),
        ("conf/*.toml", "conf/app.toml"), ("conf/**/*.toml", "conf/app.toml"), ("conf/**/*.toml", "conf/a/b.toml"),
        ("./conf/*.toml", "conf/app.toml"), ("templates/", "a/templates/x"),
    ],
)  # fmt: skip
def test_a_pattern_includes(pattern, path) -> None:
    assert not Selection().takes(path)
    assert Selection(include=(pattern,)).takes(path)
    assert Selection(include=(pattern,)).takes("main.py")


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("gen_*.py", "a/gen_x.py"),
        ("generated", "a/generated/b/x.py"),
        ("a/b", "a/b/x.py"),
        ("a/*_pb2.py", "a/x_pb2.py"),
    ],
)
def test_a_pattern_excludes(pattern, path) -> None:
    assert Selection().takes(path)
    assert not Selection(include=("*.py",), exclude=(pattern,)).takes(path)


def test_a_pattern_with_a_slash_is_for_the_whole_path() -> None:
    assert Selection(exclude=("a/b",)).takes("c/a/b/x.py")
    assert not Selection(include=("conf/*.toml",)).takes("other/conf/app.toml")


# --- what has changed ---


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "main.py").write_text("one")
    (tmp_path / "a/b.py").write_text("one")
    (tmp_path / "data.txt").write_text("one")
    return tmp_path


def snapshot_of(folder, **patterns):
    snapshot = Snapshot([str(folder)], Selection(**patterns))
    assert snapshot.look()
    return snapshot


def test_a_file_has_changed_if_its_content_has(folder) -> None:
    snapshot = snapshot_of(folder)
    path = folder / "main.py"
    path.write_text("one")
    assert snapshot.look_at([str(path)]) == []
    path.write_text("two")
    assert snapshot.look_at([str(path)]) == [str(path)]
    assert snapshot.look_at([str(path)]) == []


def test_a_file_that_appears_or_goes_has_changed(folder) -> None:
    snapshot = snapshot_of(folder)
    new, old = folder / "a/new.py", folder / "main.py"
    new.write_text("")
    old.unlink()
    assert snapshot.look_at([str(new), str(old)]) == sorted([str(new), str(old)])


def test_other_files_do_not_count(folder) -> None:
    snapshot = snapshot_of(folder)
    (folder / "data.txt").write_text("two")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__/x.py").write_text("two")
    assert (
        snapshot.look_at([str(folder / "data.txt"), str(folder / "__pycache__"), str(folder / "__pycache__/x.py")])
        == []
    )


def test_a_folder_stands_for_what_is_in_it(folder) -> None:
    snapshot = snapshot_of(folder)
    (folder / "a").rename(folder / "c")
    assert snapshot.look_at([str(folder / "a"), str(folder / "c")]) == [str(folder / "a/b.py"), str(folder / "c/b.py")]


def test_what_is_installed_does_not_count(folder) -> None:
    environment = folder / "my-environment"
    (environment / "lib").mkdir(parents=True)
    (environment / "pyvenv.cfg").write_text("")
    (environment / "lib/x.py").write_text("one")
    snapshot = snapshot_of(folder)
    assert len(snapshot) == 2
    (environment / "lib/x.py").write_text("two")
    assert snapshot.look_at([str(environment / "lib/x.py")]) == []
    assert snapshot.look_at([str(environment / "lib")]) == []
    assert snapshot.look() == []


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_second_change_within_one_timestamp_is_seen(folder, monkeypatch) -> None:
    monkeypatch.setattr(snapshots, "_metadata", lambda path: (1,) if os.path.exists(path) else None)
    clock = Clock()
    snapshot = Snapshot([str(folder)], Selection(), clock=clock)
    snapshot.look()
    path = folder / "main.py"
    for passed, content in [(0.0, "two"), (0.0, "six"), (COARSEST_TIMESTAMP_SECONDS, "ten")]:
        clock.now += passed
        path.write_text(content)
        assert snapshot.look() == [str(path)]
        assert snapshot.look() == []


def test_a_file_is_not_read_again_once_its_timestamp_would_tell_of_a_change(folder, monkeypatch) -> None:
    read = []
    digest = snapshots._digest
    monkeypatch.setattr(snapshots, "_digest", lambda path: read.append(path) or digest(path))
    clock = Clock()
    snapshot = Snapshot([str(folder)], Selection(), clock=clock)
    files = sorted([str(folder / "main.py"), str(folder / "a/b.py")])
    for passed, right in [(0.0, files), (COARSEST_TIMESTAMP_SECONDS, files), (0.1, files), (0.1, [])]:
        clock.now += passed
        read.clear()
        snapshot.look()
        assert read == right
    (folder / "main.py").write_text("two, and longer")
    assert snapshot.look() == [str(folder / "main.py")]


# --- how it looks ---


def test_at_intervals_it_sees_what_changes_between_two_looks(folder, monkeypatch) -> None:
    slept = []
    monkeypatch.setattr(watcher.time, "sleep", slept.append)
    looks = watcher._at_intervals(Snapshot([str(folder)], Selection()))
    assert len(next(looks)) == 2
    for content in ("two", "six", "ten"):  # of one length, and within one second
        (folder / "main.py").write_text(content)
        assert next(looks) == [str(folder / "main.py")]
    assert next(looks) == []
    assert min(slept) >= watcher.POLL_SECONDS


@pytest.mark.parametrize(
    ("value", "release", "asked"),
    [
        ("1", "6.1", True), ("true", "6.1", True), ("false", "6.1", False), ("disabled", "6.1", False),
        ("", "6.1", False), ("", "5.15-microsoft-standard-WSL2", True),
        ("false", "5.15-microsoft-standard-WSL2", False),
    ],
)  # fmt: skip
def test_polling_is_asked_for_as_with_watchfiles(value, release, asked, monkeypatch) -> None:
    monkeypatch.setenv("WATCHFILES_FORCE_POLLING", value)
    monkeypatch.setattr(watcher.os, "uname", lambda: SimpleNamespace(release=release))
    assert watcher._is_polling_asked_for() is asked


def test_what_has_changed_before_is_told_once_also_where_notifications_fail_later(folder, monkeypatch) -> None:
    told = []

    def notifications(_folders, _snapshot):
        yield []
        raise OSError("no watches are left")

    def intervals(_snapshot):
        yield []
        raise ChannelClosed

    monkeypatch.setattr(watcher, "_by_notifications", notifications)
    monkeypatch.setattr(watcher, "_at_intervals", intervals)
    monkeypatch.setattr(watcher, "_is_polling_asked_for", lambda: False)
    orders = watcher.WatcherOrders(0, (str(folder),), (), (), polling=False, since=0.0)
    with pytest.raises(ChannelClosed):
        watcher.watch(orders, SimpleNamespace(send=told.append))
    began, changed, began_again = told
    assert (began.files, began_again.files) == (2, 2)
    assert changed.files == ("a/b.py", "main.py")


# --- when it restarts ---


def test_a_change_restarts_at_once() -> None:
    assert Changes().noticed(["main.py"], 1.0) == Verdict(("main.py",))


def test_what_changes_during_a_restart_leads_to_one_more_afterwards() -> None:
    changes = Changes()
    changes.restart_began()
    assert changes.noticed(["a.py"], 1.0) == Verdict()
    assert changes.noticed(["b.py", "a.py"], 1.1) == Verdict()
    assert changes.restart_ended(2.0) == Verdict(("a.py", "b.py"))
    changes.restart_began()
    assert changes.restart_ended(3.0) == Verdict()


def test_a_file_that_is_written_at_each_start_ends_to_count() -> None:
    changes = Changes()
    causes = changes.noticed(["main.py"], 1.0)
    for number in range(1, MOST_IN_A_ROW + 1):
        assert causes.restart_for
        changes.restart_began()
        changes.noticed(["made.py"], 10.0 * number)
        causes = changes.restart_ended(10.0 * number)
    assert causes.restart_for == ("made.py",)
    changes.restart_began()
    changes.noticed(["made.py", "main.py"], 90.0)
    assert changes.restart_ended(91.0) == Verdict(("main.py",), ("made.py",))


def test_also_one_that_is_written_a_moment_after_the_start() -> None:
    changes = Changes()
    now, restarts = 1.0, 0
    while changes.noticed(["made.py"], now).restart_for:
        restarts += 1
        changes.restart_began()
        changes.restart_ended(now)
        now += SOON_SECONDS / 2
    assert restarts == MOST_IN_A_ROW


def test_a_person_who_saves_again_and_again_is_followed() -> None:
    changes = Changes()
    now = 1.0
    for _ in range(5 * MOST_IN_A_ROW):
        assert changes.noticed(["main.py"], now) == Verdict(("main.py",))
        changes.restart_began()
        changes.restart_ended(now + 1)
        now += 2 * SOON_SECONDS
