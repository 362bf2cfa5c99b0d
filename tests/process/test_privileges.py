"""Workers as another user, under a supervisor that stays root, and a supervisor that has no privileges at all.

An interpreter that the other user may execute is needed: this one, else the system's, of the same version.
Who isn't root runs them with `tests/as_root.py`.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import sysconfig
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme
from server_harness import get, wait_until
from tls_client import connect_tls, context_for

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
OTHER = pwd.getpwnam("bin")
"""Without rights. Not `nobody`: in a user namespace what belongs to none of its users seems to be his (overflowuid in
user_namespaces(7))."""
AS_OTHER = (
    f"{(OTHER.pw_uid,) * 3} {(OTHER.pw_gid,) * 3} "
    f"{[str(one) for one in os.getgrouplist('bin', OTHER.pw_gid)]} {OTHER.pw_dir}"
)
LIBRARIES = os.pathsep.join([str(Path(gracehttp.__file__).parents[1]), sysconfig.get_paths()["purelib"]])


def _interpreter():
    """One that this user may execute, with our modules."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for path in (sys.executable, shutil.which(version, path="/usr/bin:/usr/local/bin")):
        if path and _works(path):
            return path
    return None


def _works(path):
    as_other = {"user": OTHER.pw_uid, "group": OTHER.pw_gid, "extra_groups": []}
    try:
        command = [path, "-c", "import gracehttp.api"]
        environment = {**os.environ, "PYTHONPATH": LIBRARIES, "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(command, **as_other, cwd="/", env=environment, capture_output=True).returncode == 0
    except OSError:
        return False


INTERPRETER = _interpreter() if os.geteuid() == 0 else None
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user"),
    pytest.mark.skipif(
        os.geteuid() == 0 and INTERPRETER is None, reason="another user may execute no interpreter here"
    ),
]


@pytest.fixture
def folder():
    """A folder that others may enter. Those of pytest are root's alone, and each new session makes them so again."""
    path = Path(tempfile.mkdtemp(prefix="gracehttp-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def serve(start, folder):
    """Start a server with an interpreter that both users may execute."""

    def begin(*arguments, user=None, environment=None, **options):
        privileges = ["setpriv", f"--reuid={user}", "--regid=bin", "--clear-groups"] if user else []
        launcher = [*privileges, "sh", "-c", f'shift; exec {INTERPRETER} "$@"', "sh"]
        environment = {"PYTHONPATH": LIBRARIES, **(environment or {})}
        return start(
            "-m", "gracehttp", *arguments, folder=folder, launcher=launcher, environment=environment, **options
        )

    return begin


@pytest.fixture
def privileged_port():
    """Make a function that returns a free port below 1024, another one at each call.

    The kernel chooses none of those, so tests that run at the same time agree by an abstract name for each port, which
    is of one network as the port is (unix(7)).
    """
    with ExitStack() as locks:

        def choose():
            for port in range(1023, 600, -1):
                lock = locks.enter_context(socket.socket(socket.AF_UNIX))
                with socket.socket() as probe:
                    try:
                        lock.bind(f"\0gracehttp-test-port-{port}")
                        probe.bind(("127.0.0.1", port))
                    except OSError:
                        continue
                return port
            raise AssertionError("no port below 1024 is free")

        yield choose


def uid_of(pid):
    return Path(f"/proc/{pid}").stat().st_uid


@pytest.mark.parametrize("preload", [False, True], ids=["each imports", "preload"])
def test_workers_are_another_user_through_restarts_and_the_supervisor_stays_root(
    serve, folder, privileged_port, preload
):
    port = privileged_port()
    server = serve(
        *("serve", "-c", "g.toml", "--pidfile", "x.pid", *(["--preload"] if preload else [])),
        files={"main.py": SHOWS, "g.toml": f'app = "main:app"\nuser = "bin"\nbind = "127.0.0.1:{port}"\n'},
    )
    (worker,) = server.wait_until_serving()
    assert get(port) == (200, AS_OTHER)
    assert uid_of(worker) == OTHER.pw_uid
    assert uid_of(server.pid) == 0
    for pid in server.workers():
        assert uid_of(pid) == OTHER.pw_uid
    # A restart adds a port below 1024, and keeps the other one.
    second = privileged_port()
    server.write("g.toml", f'app = "main:app"\nuser = "bin"\nbind = ["127.0.0.1:{port}", "127.0.0.1:{second}"]\n')
    server.restart(2)
    assert get(port) == get(second) == (200, AS_OTHER)
    server.send_signal(signal.SIGUSR2)
    (worker,) = server.wait_until_serving(3)
    assert get(port) == get(second) == (200, AS_OTHER)
    # One that crashes is replaced by one that is the same user.
    os.kill(worker, signal.SIGKILL)
    server.wait_for("worker . of generation 3 is ready", count=2)
    assert get(port) == (200, AS_OTHER)
    assert (folder / "x.pid").stat().st_uid == 0
    assert server.stop() == 0
    assert not (folder / "x.pid").exists()


def test_unix_sockets_belong_to_the_user_and_the_control_socket_stays_roots(serve, folder):
    server = serve(
        *("serve", "main:app", "--user", "bin", "--group", "daemon", "-b", "unix:s", "--unix-mode", "660"),
        *("--control", "c"),
        files={"main.py": SHOWS},
    )
    server.wait_until_serving()
    found = (folder / "s").stat()
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (OTHER.pw_uid, 0o660)
    assert found.st_gid == _gid("daemon")
    control = (folder / "c").stat()
    assert (control.st_uid, stat.S_IMODE(control.st_mode)) == (0, 0o600)
    done = subprocess.run(
        [INTERPRETER, "-m", "gracehttp", "restart", "--control", "c"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": LIBRARIES},
        user=OTHER.pw_uid,
        group=OTHER.pw_gid,
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
        files={"main.py": SHOWS, "g.toml": 'app = "main:app"\nuser = "bin"\nport = 0\n'},
    )
    server.wait_until_serving()
    server.write("g.toml", 'app = "main:app"\nuser = "daemon"\nport = 0\n')
    (worker,) = server.restart(2)
    server.wait_for(r"another user \(daemon\): the supervisor keeps what it has \(bin\) until it is replaced")
    assert uid_of(worker) == OTHER.pw_uid
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
        *("serve", "main:app", "--user", "bin", "--port", "0", "--app-dir", "private"),
        files={"private/main.py": SHOWS},
    )
    assert server.wait() == 3
    assert "this user may not read and enter it" in server.log


def test_what_keeps_the_user_from_the_interpreter_is_named_once(start, folder):
    private = folder / "private"
    private.mkdir(mode=0o700)
    (private / "python3").symlink_to(INTERPRETER)
    launcher = ["sh", "-c", f'shift; exec {private}/python3 "$@"', "sh"]
    server = start(
        *("-m", "gracehttp", "serve", "main:app", "--user", "bin", "--port", "0"),
        folder=folder,
        launcher=launcher,
        environment={"PYTHONPATH": LIBRARIES},
        files={"main.py": SHOWS},
    )
    assert server.wait() == 3
    assert f"worker 1 of generation 1 could not run: {private} may not be entered: " in server.log
    assert "Permission denied; use an interpreter and a folder that this user can reach" in server.log
    assert f"gracehttp: error: {private}" not in server.log, "the event has it"


def test_user_needs_root(serve):
    server = serve("serve", "main:app", "--user", "daemon", "--port", "0", user="bin", files={"main.py": SHOWS})
    assert server.wait() == 2
    assert server.lines[0] == (
        f"gracehttp: error: only root can run workers as user daemon, and this process is user {OTHER.pw_uid}."
    )


def test_supervisor_without_privileges_serves_an_inherited_port_through_restarts(serve, privileged_port):
    with socket.create_server(("127.0.0.1", privileged_port())) as listener:
        port, fd = listener.getsockname()[1], listener.fileno()
        server = serve(
            *("serve", "main:app", "--user", "bin", "-b", f"fd://{fd}"),
            user="bin",
            files={"main.py": SHOWS},
            environment={"HOME": "/nowhere"},
            pass_fds=(fd,),
        )
        server.wait_until_serving()
    assert uid_of(server.pid) == OTHER.pw_uid
    assert get(port)[0] == 200
    server.restart(2)
    server.send_signal(signal.SIGUSR2)
    server.wait_until_serving(3)
    assert get(port)[0] == 200
    assert server.stop() == 0


def _gid(name):
    import grp

    return grp.getgrnam(name).gr_gid


# --- keys that only root may read ---

AUTHORITY = trustme.CA()


def put_certificate(folder):
    """A new certificate, whose key root alone may read. Returns the certificate as clients get it."""
    issued = AUTHORITY.issue_cert("localhost")
    (folder / "cert.pem").write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    key = folder / "key.pem"
    key.touch(mode=0o600)
    key.write_bytes(issued.private_key_pem.bytes())
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    return ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())


def served_certificate(port):
    with connect_tls(port, context_for(AUTHORITY)) as sock:
        return sock.getpeercert(binary_form=True)


TLS = ("serve", "main:app", "--user", "bin", "-b", "https://127.0.0.1:0")


@pytest.mark.parametrize("preload", [False, True], ids=["each imports", "preload"])
def test_a_key_that_only_root_may_read_is_served_through_changes_restarts_and_crashes(serve, folder, preload):
    first = put_certificate(folder)
    server = serve(
        *(*TLS, "--certfile", "cert.pem", "--keyfile", "key.pem", *(["--preload"] if preload else [])),
        files={"main.py": SHOWS},
    )
    (worker,) = server.wait_until_serving()
    assert uid_of(worker) == OTHER.pw_uid
    assert served_certificate(server.port) == first
    second = put_certificate(folder)
    server.wait_for("1 worker of generation 1 changed to the new certificate")
    assert served_certificate(server.port) == second
    # A bad pair is refused for what it is, and a worker that crashes meanwhile is replaced by one with the good pair.
    good = (folder / "key.pem").read_bytes()
    (folder / "key.pem").write_bytes(AUTHORITY.issue_cert("localhost").private_key_pem.bytes())
    server.wait_for(
        rf"is refused: the private key {folder}/key\.pem does not belong to the certificate {folder}/cert\.pem"
    )
    os.kill(worker, signal.SIGKILL)
    server.wait_for("of generation 1 is ready after", count=2)
    assert served_certificate(server.port) == second
    (folder / "key.pem").write_bytes(good)
    server.restart(2)
    assert served_certificate(server.port) == second
    server.send_signal(signal.SIGUSR2)
    (worker,) = server.wait_until_serving(3)
    third = put_certificate(folder)
    server.wait_for("1 worker of generation 3 changed to the new certificate")
    os.kill(worker, signal.SIGKILL)
    server.wait_for("of generation 3 is ready after", count=2)
    assert served_certificate(server.port) == third
    assert "Permission denied" not in server.log
    assert server.stop() == 0


def test_a_key_that_the_user_could_turn_to_another_file_is_not_read_for_it(serve, folder):
    put_certificate(folder)
    (folder / "theirs").mkdir()
    (folder / "theirs" / "key.pem").symlink_to(folder / "key.pem")
    os.chown(folder / "theirs", OTHER.pw_uid, OTHER.pw_gid)
    server = serve(*TLS, "--certfile", "cert.pem", "--keyfile", "theirs/key.pem", files={"main.py": SHOWS})
    assert server.wait() == 3
    assert f"the keyfile {folder}/theirs/key.pem can't be read: permission denied" in server.log


def test_keys_that_new_options_name_are_read_when_the_supervisor_is_replaced(serve, folder):
    first = put_certificate(folder)
    options = 'app = "main:app"\nuser = "bin"\nbind = "https://127.0.0.1:0"\n'
    (folder / "new").mkdir()
    new = put_certificate(folder / "new")
    server = serve(
        *("serve", "-c", "g.toml"),
        files={"main.py": SHOWS, "g.toml": f'{options}certfile = "cert.pem"\nkeyfile = "key.pem"\n'},
    )
    server.wait_until_serving()
    server.write("g.toml", f'{options}certfile = "new/cert.pem"\nkeyfile = "new/key.pem"\n')
    server.send_signal(signal.SIGHUP)
    server.wait_for(r"the keyfile \S+new/key\.pem can't be read: permission denied")
    assert served_certificate(server.port) == first
    server.send_signal(signal.SIGUSR2)
    server.wait_until_serving(3)
    assert served_certificate(server.port) == new


def test_check_reads_such_a_key_too(folder):
    put_certificate(folder)
    (folder / "main.py").write_text("async def app(scope, receive, send): ...\n")
    done = subprocess.run(
        [sys.executable, "-m", "gracehttp", "check", *TLS[1:], "--certfile", "cert.pem", "--keyfile", "key.pem"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "ok: certificate cert.pem (expires in" in done.stdout


# --- log files ---

LOGS = ("--user", "bin", "--port", "0", "--log-file", "logs/log", "--access-log-file", "logs/access")


@pytest.fixture
def logs(folder):
    """A folder that belongs to the user of the workers."""
    made = folder / "logs"
    made.mkdir()
    os.chown(made, OTHER.pw_uid, OTHER.pw_gid)
    return made


def test_log_files_belong_to_the_workers_also_behind_a_rotation_a_restart_and_a_crash(serve, logs):
    server = serve("serve", "main:app", *LOGS, files={"main.py": SHOWS}, environment={"PYTHONUNBUFFERED": "1"})
    log, access = logs / "log", logs / "access"

    def says(sentence):
        return lambda: log.exists() and sentence in log.read_text()

    wait_until(says("generation 1 serves"), what="the service")
    port = int(re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text())[1])
    for generation in (2, 3):
        for file in (log, access):
            file.rename(file.with_suffix(f".{generation}"))
        wait_until(lambda: get(port) == (200, AS_OTHER) and access.exists(), what="the new file of requests")
        server.send_signal(signal.SIGHUP)
        wait_until(says(f"generation {generation} serves"), what="the restart")
        for file in (log, access):
            assert (file.stat().st_uid, file.stat().st_gid) == (OTHER.pw_uid, OTHER.pw_gid)
    os.kill(int(re.search(r"generation 3 serves, pids (\d+)", log.read_text())[1]), signal.SIGKILL)
    wait_until(lambda: get(port) == (200, AS_OTHER), what="another worker")
    assert server.stop() == 0


def test_a_link_of_that_user_in_the_place_of_the_log_leads_to_nothing_of_roots(serve, folder, logs):
    """CWE-59: the supervisor, which is root, writes to the log too."""
    secret = folder / "secret"
    secret.write_text("of root")
    secret.chmod(0o600)
    server = serve("serve", "main:app", *LOGS, files={"main.py": SHOWS})
    log = logs / "log"
    wait_until(lambda: log.exists() and "generation 1 serves" in log.read_text(), what="the service")
    log.rename(logs / "log.1")
    log.symlink_to(secret)
    time.sleep(1.1)  # it looks for another file once a second
    server.send_signal(signal.SIGHUP)
    wait_until(lambda: "generation 2 serves" in (logs / "log.1").read_text(), what="the restart")
    server.wait_for("the log file .* can't be written: Permission denied")
    assert secret.read_text() == "of root"
    log.unlink()
    log.symlink_to(folder / "new")
    server.send_signal(signal.SIGHUP)
    wait_until(lambda: "generation 3 serves" in (logs / "log.1").read_text(), what="the restart")
    assert not (folder / "new").exists()


def test_a_log_file_of_root_alone_is_an_error_that_names_user_and_file(serve, logs):
    (logs / "access").touch(mode=0o600)
    server = serve("serve", "main:app", *LOGS[:4], *LOGS[-2:], files={"main.py": SHOWS})
    assert server.wait() == 2
    assert (logs / "access").stat().st_uid == 0, "what is there already is not given away"
    assert f"the log file {logs}/access can't be opened: Permission denied" in server.log
    assert "Hint: its folder must exist, and the user bin must be allowed to write to it" in server.log
