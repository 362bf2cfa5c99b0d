"""What is wrong with an address is told in one sentence with a hint, and no file is touched."""

from __future__ import annotations

import socket

import pytest

from gracehttp.errors import ListenError
from gracehttp.net.address import parse_address
from gracehttp.net.bind import open_listener


@pytest.mark.parametrize(
    ("address", "message", "hint"),
    [
        ("unix:FOLDER/none/a.sock", "the folder does not exist", "make the folder FOLDER/none, or choose another path"),
        ("unix:FOLDER/main.py", "the file exists and is no socket", "choose another path"),
        ("no-such-host.invalid:80", "the host name 'no-such-host.invalid' can't be resolved", "an address of this"),
        ("fd://987", "descriptor 987 was not inherited", "must open it and let it be inherited"),
        ("fd://2", "descriptor 2 is no socket", "must open a listening socket there"),
    ],
)
def test_wrong_address_is_told_with_a_hint(tmp_path, address, message, hint):
    (tmp_path / "main.py").write_text("code")
    address = address.replace("FOLDER", str(tmp_path))
    with pytest.raises(ListenError) as caught:
        open_listener(parse_address(address), backlog=1)
    assert caught.value.message.startswith(f"cannot listen on {address}: ")
    assert message in caught.value.message
    assert hint.replace("FOLDER", str(tmp_path)) in caught.value.hint
    assert (tmp_path / "main.py").read_text() == "code"
    assert [one.name for one in tmp_path.iterdir()] == ["main.py"]


def test_folder_in_which_no_socket_can_be_made_is_told(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    class Refused(socket.socket):
        bind = refuse  # root may write everywhere

    monkeypatch.setattr("gracehttp.net.bind.socket.socket", Refused)
    with pytest.raises(ListenError, match=f"this user may not make a file in {tmp_path}") as caught:
        open_listener(parse_address(f"unix:{tmp_path}/a.sock"), backlog=1)
    assert "choose a folder in which this user may" in caught.value.hint
