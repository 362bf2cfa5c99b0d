"""Workers as another user, under a supervisor that stays root, and a supervisor that has no privileges at all.

An interpreter that the other user may execute is needed: this one, else the system's, of the same version.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest
from server_harness import get

import gracehttp

SHOWS = """
    import os

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        umask = os.umask(0)
        os.umask(umask)
        with open("/proc/self/status") as file:
            groups = next(line.split()[1:] for line in file if line.startswith("Groups:"))
        body = f"{os.getresuid()} {os.getresgid()} {groups} {os.environ['HOME']}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})
"""
NOBODY = pwd.getpwnam("nobody")
AS_NOBODY = (
    f"{(NOBODY.pw_uid,) * 3} {(NOBODY.pw_gid,) * 3} "
    f"{[str(one) for one in os.getgrouplist('nobody', NOBODY.pw_gid)]} {NOBODY.pw_dir}"
)
LIBRARIES = os.pathsep.join([str(Path(gracehttp.__file__).parents[1]), sysconfig.get_paths()["purelib"]])


def _interpreter():
    """One that nobody may execute, with our modules."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for path in (sys.executable, shutil.which(version, path="/usr/bin:/usr/local/bin")):
        if path and _works(path):
            return path
    return None


def _works(path):
    with_nobody = {"user": NOBODY.pw_uid, "group": NOBODY.pw_gid, "extra_groups": []}
    try:
        command = [path, "-c", "import gracehttp.api"]
        environment = {**os.environ, "PYTHONPATH": LIBRARIES, "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(command, **with_nobody, cwd="/", env=environment, capture_output=True).returncode == 0
    except OSError:
        return False


INTERPRETER = _interpreter() if os.geteuid() == 0 else None
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user"),
    pytest.mark.skipif(os.geteuid() == 0 and INTERPRETER is None, reason="nobody may execute no interpreter here"),
]


@pytest.fixture
def folder():
    """A folder that nobody may enter. Those of pytest are root's alone, and each new session makes them so again."""
    path = Path(tempfile.mkdtemp(prefix="gracehttp-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def serve(start, folder):
    """Start a server with an interpreter that both users may execute."""

    def begin(*arguments, user=None, environment=None, **options):
        privileges = ["setpriv", f"--reuid={user}", "--regid=nogroup", "--clear-groups"] if user else []
        launcher = [*privileges, "sh", "-c", f'shift; exec {INTERPRETER} "$@"', "sh"]
        environment = {"PYTHONPATH": LIBRARIES, **(environment or {})}
        return start(
            "-m", "gracehttp", *arguments, folder=folder, launcher=launcher, environment=environment, **options
        )

    return begin


def privileged_port():
    """A free port below 1024."""
    for port in range(1023, 600, -1):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port below 1024 is free")


def uid_of(pid):
    return Path(f"/proc/{pid}").stat().st_uid


@pytest.mark.parametrize("preload", [False, True], ids=["each imports", "preload"])
def test_workers_are_another_user_through_restarts_and_the_supervisor_stays_root(serve, folder, preload):
    port, second = privileged_port(), None
    server = serve(
        *("serve", "-c", "g.toml", "--pidfile", "x.pid", *(["--preload"] if preload else [])),
        files={"main.py": SHOWS, "g.toml": f'app = "main:app"\nuser = "nobody"\nbind = "127.0.0.1:{port}"\n'},
    )
    (worker,) = server.wait_until_serving()
    assert get(port) == (200, AS_NOBODY)
    assert uid_of(worker) == NOBODY.pw_uid
    assert uid_of(server.pid) == 0
    for pid in server.workers():
        assert uid_of(pid) == NOBODY.pw_uid
    # A restart adds a port below 1024, and keeps the other one.
    second = privileged_port()
    server.write("g.toml", f'app = "main:app"\nuser = "nobody"\nbind = ["127.0.0.1:{port}", "127.0.0.1:{second}"]\n')
    server.restart(2)
    assert get(port) == get(second) == (200, AS_NOBODY)
    server.send_signal(signal.SIGUSR2)
    (worker,) = server.wait_until_serving(3)
    assert get(port) == get(second) == (200, AS_NOBODY)
    # One that crashes is replaced by one that is the same user.
    os.kill(worker, signal.SIGKILL)
    server.wait_for("worker . of generation 3 is ready", count=2)
    assert get(port) == (200, AS_NOBODY)
    assert (folder / "x.pid").stat().st_uid == 0
    assert server.stop() == 0
    assert not (folder / "x.pid").exists()


def test_unix_sockets_belong_to_the_user_and_the_control_socket_stays_roots(serve, folder):
    server = serve(
        *("serve", "main:app", "--user", "nobody", "--group", "daemon", "-b", "unix:s", "--unix-mode", "660"),
        *("--control", "c"),
        files={"main.py": SHOWS},
    )
    server.wait_until_serving()
    found = (folder / "s").stat()
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (NOBODY.pw_uid, 0o660)
    assert found.st_gid == _gid("daemon")
    control = (folder / "c").stat()
    assert (control.st_uid, stat.S_IMODE(control.st_mode)) == (0, 0o600)
    done = subprocess.run(
        [INTERPRETER, "-m", "gracehttp", "restart", "--control", "c"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": LIBRARIES},
        user=NOBODY.pw_uid,
        group=NOBODY.pw_gid,
        extra_groups=[],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (
        1,
        "gracehttp: error: you may not control the supervisor at c.\nHint: be root, or the user that runs it\n",
    )
    assert server.stop() == 0
    assert not (folder / "s").exists()


def test_a_user_that_new_options_give_is_told_to_be_ignored_until_the_supervisor_is_replaced(serve):
    server = serve(
        *("serve", "-c", "g.toml"),
        files={"main.py": SHOWS, "g.toml": 'app = "main:app"\nuser = "nobody"\nport = 0\n'},
    )
    server.wait_until_serving()
    server.write("g.toml", 'app = "main:app"\nuser = "daemon"\nport = 0\n')
    (worker,) = server.restart(2)
    server.wait_for(r"another user \(daemon\): the supervisor keeps what it has \(nobody\) until it is replaced")
    assert uid_of(worker) == NOBODY.pw_uid
    server.send_signal(signal.SIGUSR2)
    (worker,) = server.wait_until_serving(3)
    assert uid_of(worker) == pwd.getpwnam("daemon").pw_uid
    server.write("g.toml", 'app = "main:app"\nuser = "no-such-user"\nport = 0\n')
    server.send_signal(signal.SIGUSR2)
    server.wait_for("there is no user 'no-such-user'")
    server.wait_for("the supervisor stays the same")
    assert get(server.port)[0] == 200


def test_what_the_user_may_not_read_is_told(serve, folder):
    (folder / "private").mkdir(mode=0o700)
    server = serve(
        *("serve", "main:app", "--user", "nobody", "--port", "0", "--app-dir", "private"),
        files={"private/main.py": SHOWS},
    )
    assert server.wait() == 3
    assert "Permission denied" in server.log


def test_what_keeps_the_user_from_the_interpreter_is_named_once(start, folder):
    private = folder / "private"
    private.mkdir(mode=0o700)
    (private / "python3").symlink_to(INTERPRETER)
    launcher = ["sh", "-c", f'shift; exec {private}/python3 "$@"', "sh"]
    server = start(
        *("-m", "gracehttp", "serve", "main:app", "--user", "nobody", "--port", "0"),
        folder=folder,
        launcher=launcher,
        environment={"PYTHONPATH": LIBRARIES},
        files={"main.py": SHOWS},
    )
    assert server.wait() == 3
    assert f"Permission denied ({private} may not be entered)" in server.log
    assert f"gracehttp: error: {private}" not in server.log, "the event has it"


def test_user_needs_root(serve):
    server = serve("serve", "main:app", "--user", "daemon", "--port", "0", user="nobody", files={"main.py": SHOWS})
    assert server.wait() == 2
    assert server.lines[0] == (
        f"gracehttp: error: only root can run workers as user daemon, and this process is user {NOBODY.pw_uid}."
    )


def test_supervisor_without_privileges_serves_an_inherited_port_through_restarts(serve):
    with socket.create_server(("127.0.0.1", privileged_port())) as listener:
        port, fd = listener.getsockname()[1], listener.fileno()
        server = serve(
            *("serve", "main:app", "--user", "nobody", "-b", f"fd://{fd}"),
            user="nobody",
            files={"main.py": SHOWS},
            environment={"HOME": "/nowhere"},
            pass_fds=(fd,),
        )
        server.wait_until_serving()
    assert uid_of(server.pid) == NOBODY.pw_uid
    assert get(port)[0] == 200
    server.restart(2)
    server.send_signal(signal.SIGUSR2)
    server.wait_until_serving(3)
    assert get(port)[0] == 200
    assert server.stop() == 0


def _gid(name):
    import grp

    return grp.getgrnam(name).gr_gid
