"""Which files the supervisor reads as root for the workers of another user."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from gracehttp.supervisor.certificates import files as module
from gracehttp.supervisor.certificates.files import FilesForWorkers, changeable_by
from gracehttp.system.credentials import Credentials

THEIRS = Credentials(uid=2, gid=2, groups=(2, 4242), name="bin")
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away"),
]


@pytest.fixture
def folder():
    path = Path(tempfile.mkdtemp(prefix="gracehttp-"))
    path.chmod(0o755)
    (path / "key.pem").write_bytes(b"secret \xff")
    (path / "key.pem").chmod(0o600)
    yield path
    shutil.rmtree(path)


def read(paths, asked):
    memory = FilesForWorkers(paths, THEIRS).read(asked)
    if memory is None:
        return None
    try:
        text = os.pread(memory, 100_000, 0)
    finally:
        os.close(memory)
    return {path: content.encode("latin-1") for path, content in json.loads(text).items()}


def test_the_files_that_the_options_name_are_read_and_no_others(folder):
    key = str(folder / "key.pem")
    assert read([key], [key, "/etc/shadow"]) == {key: b"secret \xff"}
    assert read([key], ["/etc/shadow"]) is None
    assert read([key], [f"{folder}/../{folder.name}/key.pem"]) is None


def test_what_is_not_there_no_file_or_too_long_is_left_out(folder, monkeypatch):
    os.mkfifo(folder / "pipe")
    paths = [str(folder / name) for name in ("none", "pipe", ".", "key.pem")]
    assert read(paths, paths) == {str(folder / "key.pem"): b"secret \xff"}
    monkeypatch.setattr(module, "MOST_BYTES", 3)
    assert read(paths, paths) is None


def test_links_of_root_are_followed_and_a_loop_ends(folder):
    (folder / "live").symlink_to("archive")
    (folder / "archive").mkdir()
    (folder / "archive" / "key.pem").symlink_to("../key.pem")
    (folder / "loop").symlink_to("loop")
    assert not changeable_by(THEIRS, f"{folder}/live/key.pem")
    assert changeable_by(THEIRS, f"{folder}/loop")


@pytest.mark.parametrize(
    ("mode", "uid", "gid"),
    [(0o755, THEIRS.uid, 0), (0o555, THEIRS.uid, 0), (0o775, 0, THEIRS.gid), (0o775, 0, 4242), (0o757, 0, 0)],
    ids=["theirs", "theirs, to be changed", "of their group", "of another group of theirs", "everyone's"],
)
@pytest.mark.parametrize("path", ["sub/key.pem", "sub/deeper/key.pem", "link"])
def test_a_file_in_a_folder_that_the_user_may_change_is_left_to_it(folder, mode, uid, gid, path):
    (folder / "sub" / "deeper").mkdir(parents=True)
    for link in ("sub/key.pem", "sub/deeper/key.pem"):
        (folder / link).symlink_to(folder / "key.pem")
    (folder / "link").symlink_to("sub/key.pem")
    assert not changeable_by(THEIRS, f"{folder}/{path}")
    os.chown(folder / "sub", uid, gid)
    (folder / "sub").chmod(mode)
    assert changeable_by(THEIRS, f"{folder}/{path}")
    assert read([f"{folder}/{path}"], [f"{folder}/{path}"]) is None


def test_a_link_of_the_user_in_a_sticky_folder_is_not_followed(folder):
    (folder / "sticky").mkdir()
    (folder / "sticky").chmod(0o1777)
    link = folder / "sticky" / "key.pem"
    link.symlink_to("../key.pem")
    assert not changeable_by(THEIRS, str(link))
    os.lchown(link, THEIRS.uid, THEIRS.gid)
    assert changeable_by(THEIRS, str(link))
