"""Every block of code of the README and of the pages in docs is tried, or stands in `UNTRIED` with the reason.

How a block is tried, the comment above it says:

- `<!-- file NAME -->`, `<!-- run -->`, `<!-- run in NAME -->`, `<!-- seen in NAME -->`: somebody follows the page
  (`page_runner.py`, `test_pages.py`).
- `<!-- commands -->`: lines of a shell. Those that serve must come to serve, the others must end with 0. Where none of
  them serves, a server with the pidfile `app.pid` is there before.
- `<!-- installing -->`: the same, where pip installs gracehttp; only with `--installs`.
- `<!-- script -->`: Python that serves.
- `<!-- application -->`: Python, with an application `app` that `gracehttp check` can import.
- `<!-- in a response -->`: part of an application that streams. A restart must end the stream.
- `<!-- configuration -->`: `gracehttp check -c` finds no mistake in it.
- `<!-- log configuration -->`: a request is logged by it.
- `<!-- options of a module -->`: each `python -m MODULE` has the options that are given to it.
- `<!-- starts -->`: JSON in which a list `args`, or a command line, starts a server.
- `<!-- for TOOL -->`: nginx, haproxy, logrotate, systemd, prometheus or gunicorn; read by that tool or, for
  gunicorn, by `gracehttp migrate`.
- `<!-- shown by NAME -->`: what one of `SCENARIOS` shows.
- `<!-- tested by test_NAME.py -->`: that file of tests reads the page. What else stands there is for it.

Each block is tried in a folder of its own, with `FILES` and the files that its page has.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest
import trustme
from code_blocks import BLOCKS, ROOT, blocks_of
from page_runner import PARTS_KINDS, parts
from server_harness import DEADLINE_SECONDS, Server, free_port, get, read_until

UNTRIED = {
    ("README", "python3 -m venv .venv && .venv/bin/pip install --quiet --editable '.[test]' && .venv/bin/pytest"): (
        "it runs the tests; .ci/run does exactly this line"
    ),
    ("building", ".venv/bin/pip install cython setuptools   # once"): (
        "it compiles into the clone whose tests run; .ci/run and test_installation.py compile"
    ),
    ("deploying", "/srv/releases/41/    main.py, gracehttp.toml, venv/"): "folders, drawn",
    ("kubernetes", "TERM ─┬─ stop_delay ─────────┬─ drain_timeout ──────────────┬─ lifespan shutdown ─┬─ end"): (
        "a drawing; test_examples_of_tools.py computes the sum"
    ),
    ("running", "/srv/app/releases/41/    main.py, gracehttp.toml, ..."): "folders, drawn",
    ("running", "gracehttp serve main:app --bind :80 --user www-data     # started as root"): (
        "it needs root, and a port below 1024; test_privileges.py does the same where it may"
    ),
    ("websockets", "function connect() {"): "a browser runs it, and none is here",
}

FILES = {
    "main.py": """
        async def app(scope, receive, send):
            assert scope["type"] == "http"
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"hello"})
    """,
    "admin.py": "from main import app\n",
    "slow.py": "from main import app\n",
    "shop/__init__.py": "from shop.views import view\n\n\ndef create_app():\n    return view\n",
    "shop/views.py": """
        def view(environ, start_response):
            start_response("200 OK", [])
            return [b"hello"]
    """,
    "mysite/__init__.py": "",
    "mysite/asgi.py": "from main import app as application\n",
    "mysite/wsgi.py": """
        from shop.views import view as application

        def startup():
            pass

        shutdown = startup
    """,
    "my_hooks.py": """
        def announce(event):
            pass

        count = worker_exited = announce
    """,
    "gracehttp.toml": 'app = "main:app"\nbind = ":8000"\npidfile = "app.pid"\n',
    "gunicorn.conf.py": 'bind = "127.0.0.1:8000"\nwsgi_app = "mysite.wsgi:application"\n',
    "src/nothing.py": "",
    "templates/page.html": "",
    "run/nothing": "",
}

_SERVES = re.compile(r"\bgracehttp serve\b")
_ADDRESS = re.compile(r"(?<![\w.\]\d])(https?://)?(127\.0\.0\.1|0\.0\.0\.0)?:(\d{2,5})\b")
_PLACES = {
    "/srv/app": "{folder}/srv",
    "/srv": "{folder}/srv",
    "/run/app": "{folder}/run",
    "/etc/systemd/system": "{folder}",
    "/etc/ssl": "{folder}",
    "~/.config/fish/completions": "{folder}",
    "/path/to/the/clone": str(ROOT),
    "/path/to/this/clone": str(ROOT),
    "/dev/log": "{folder}/log",
    "--pid 15738": '--pid "$PID"',
}


class World:
    """A folder in which a block is tried, with free ports in the place of those on the page."""

    def __init__(self, folder, begin):
        self.folder = folder
        self.begin = begin
        self.servers: list[Server] = []
        self._ports: dict[str, int] = {}
        for name, text in FILES.items():
            self.write(name, text)
        (folder / "srv" / "releases").mkdir(parents=True)
        for release in ("41", "42", "43"):
            (folder / "srv" / "releases" / release).symlink_to(folder)
        (folder / "srv" / "current").symlink_to("releases/42")
        (folder / "venv" / "bin").mkdir(parents=True)
        (folder / "venv" / "bin" / "gracehttp").symlink_to(Path(sys.executable).with_name("gracehttp"))
        (folder / "srv" / "venv").symlink_to("../venv")
        for name in ("cert.pem key.pem", "example.org.pem example.org.key", "example.net.pem example.net.key"):
            self.issue(name.split()[0].removesuffix(".pem"), *name.split())
        self.environ = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin",
            "HOME": str(folder),
            "GRACEHTTP_LOG_LEVEL": "info",
            "GRACEHTTP_PIDFILE": "app.pid",
        }

    def write(self, name, text):
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(textwrap.dedent(self.fitted(text)))

    def issue(self, name, certificate, key, **options):
        authority = trustme.CA()
        issued = authority.issue_cert(name, **options)
        (self.folder / certificate).write_bytes(issued.private_key_and_cert_chain_pem.bytes())
        (self.folder / key).write_bytes(issued.private_key_pem.bytes())
        authority.cert_pem.write_to_path(self.folder / "clients.pem")

    def fitted(self, text):
        """With paths and ports of this folder."""
        for place, here in _PLACES.items():
            text = re.sub(rf"(?<![\w/.]){re.escape(place)}(?![\w])", here.format(folder=self.folder), text)

        def address(found):
            port = self._ports.setdefault(found[3], free_port())
            return f"{found[1] or ''}127.0.0.1:{port}"

        return _ADDRESS.sub(address, text)

    def serve(self, command):
        """Start the server that a line of a shell starts, and wait until it serves."""
        self.stop()
        if not re.search(r" (--bind|-b|-c|--port) | --metrics$|serve\.py", command):
            command += " --bind 127.0.0.1:0"
        server = self.begin("-c", command, folder=self.folder, program=("bash",), environment=self.environ)
        self.servers.append(server)
        server.wait_until_serving()
        self.environ["PID"] = server.wait_for(r"started, pid (\d+)")[1]
        return server

    def stop(self):
        if self.servers and self.servers[-1].process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(self.environ["PID"]), signal.SIGTERM)
            self.servers[-1].wait()

    def run(self, command):
        """Run a line of a shell to its end; returns the finished process."""
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env={**os.environ, "PWD": str(self.folder), **self.environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def must_run(self, command):
        done = self.run(command)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{command!r} ended with {done.returncode}"
        return done.stdout + done.stderr

    def tool(self, *command):
        if shutil.which(command[0], path=self.environ["PATH"]) is None:
            pytest.skip(f"{command[0]} is not installed")
        return self.must_run(shlex.join(map(str, command)))


@pytest.fixture
def world(tmp_path, start):
    return World(tmp_path, start)


# --- the collection ---


def reason_why_not(block):
    return UNTRIED.get((block.page, block.text.splitlines()[0] if block.text.strip() else ""))


def kind_of(block):
    # `.ci/run` and others who look for the two lines of the README find them by marks of their own.
    return "installing" if (block.page, block.mark) == ("README", "run") else block.kind


def of_kind(*kinds):
    return [block for block in BLOCKS if kind_of(block) in kinds and not reason_why_not(block)]


def tried(*kinds):
    return pytest.mark.parametrize("block", of_kind(*kinds), ids=lambda block: block.name)


def _reads(page):
    """What a file of tests that reads the page has in it: its name, or that of the script that makes it."""
    made = [script.stem for script in (ROOT / "docs").glob("make_*.py") if f'"{page}.md"' in script.read_text()]
    return [f"{page}.md", f'"{page}"', *made]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_it_is_known_how_each_block_is_tried(block):
    if reason_why_not(block):
        return
    assert kind_of(block) in {*PARTS_KINDS, *TRIALS, "shown", "tested"}, (
        f"{block.name}: above it stands {block.mark!r}; the top of test_code_blocks.py tells what may stand there"
    )
    if block.kind == "shown":
        assert block.about in SCENARIOS
    if block.kind == "tested":
        (file,) = (ROOT / "tests").glob(f"**/{block.about.split()[0]}")
        assert any(name in file.read_text(encoding="utf-8") for name in _reads(block.page)), (
            f"{file.name}: {block.page}?"
        )


def test_each_reason_is_that_of_a_block():
    found = {(block.page, block.text.splitlines()[0]) for block in BLOCKS if block.text.strip()}
    assert UNTRIED.keys() - found == set()


@pytest.mark.parametrize("page", sorted({block.page for block in of_kind("run", "seen")}))
def test_who_follows_a_page_comes_to_each_block_with_a_mark(page):
    steps = [step for part in parts(ROOT / "docs" / f"{page}.md") for step in part.steps]
    assert {block.text for block in of_kind("run", "seen") if block.page == page} <= {text for _, _, text in steps}


def test_fenced_and_indented_blocks_are_found_with_their_marks_and_items_of_lists_are_none():
    page = textwrap.dedent("""\
        <!-- commands -->
        ```sh
        one
        ```

        - an item

            which goes on

        Text.

        <!-- for nginx -->

            two
              three

        ~~~
        four
        ~~~
    """)
    assert [(block.language, block.mark, block.text) for block in blocks_of("page", page)] == [
        ("sh", "commands", "one\n"),
        ("", "for nginx", "two\n  three\n"),
        ("", "", "four\n"),
    ]


# --- what is run ---


def lines_of(text):
    """The commands of a block: without comments, and with what goes on in the next line."""
    joined = re.sub(r"\\\n\s*", " ", text)
    lines = [re.sub(r"\s+#\s.*$", "", line) for line in joined.splitlines()]
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


@tried("commands")
def test_commands(block, world):
    text = world.fitted(block.text)
    lines = lines_of(text)
    if any(line.startswith(("if ", "for ", "set -e")) for line in lines):
        lines = [text]
    if not any(_serves(line) for line in lines) and any(_asks_a_server(line) for line in lines):
        world.serve("exec gracehttp serve main:app --bind 127.0.0.1:0")
    for line in lines:
        if _serves(line):
            world.serve(line)
        elif line.startswith("pip install"):
            world.must_run(f"{line} --no-index --dry-run")  # the extra exists, and what is in it is what the tests have
        elif line.startswith("gracehttp top"):
            _look(world, line)
        else:
            world.must_run(line)
    world.stop()


def _serves(line):
    return bool(_SERVES.search(line)) or line.startswith("python -Xfrozen_modules=off -m debugpy")


def _asks_a_server(line):
    return bool(re.search(r"\bgracehttp (restart|stop|status|top)\b", line))


def _look(world, line):
    """Run a program that wants a terminal, and leave it by q."""
    pid, terminal = os.forkpty()
    if pid == 0:
        try:
            os.chdir(world.folder)
            os.execvpe("bash", ["bash", "-c", line], {**os.environ, "TERM": "xterm", **world.environ})
        finally:
            os._exit(127)
    try:
        read_until(terminal, "requests")
        os.write(terminal, b"q")
        with contextlib.suppress(OSError):  # the terminal is closed when the program has ended
            while os.read(terminal, 65536):
                pass
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    finally:
        os.close(terminal)


@pytest.mark.installs
@tried("installing")
def test_commands_that_install(block, world):
    """In a copy of the clone, where it is `.`."""
    clone = world.folder / "clone"
    for folder in ("src", "docs"):
        shutil.copytree(ROOT / folder, clone / folder, ignore=shutil.ignore_patterns("*.so", "*.c", "__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, clone / name)
    world.environ |= {"GRACEHTTP_COMPILED": "off"}
    world.write("requirements.txt", f"{clone}\n")
    text = world.fitted(block.text).replace(str(ROOT), str(clone))
    if block.page == "deploying":
        (world.folder / "srv" / "releases" / "43").unlink()
        (world.folder / "srv" / "releases" / "43").mkdir()
        for name in ("requirements.txt", "main.py"):
            shutil.copy(world.folder / name, world.folder / "srv" / "releases" / "43")
        world.serve(
            f"cd {world.folder}/srv/current && exec venv/bin/gracehttp serve main:app --bind 127.0.0.1:0"
            f" --pidfile {world.folder}/run/app.pid"
        )
    world.must_run(f"cd {clone if block.page == 'README' else world.folder}\n{text}")
    if block.page == "deploying":
        world.servers[-1].wait_until_serving(2)
        assert "releases/43" in os.readlink(world.folder / "srv" / "current")


@tried("script")
def test_scripts(block, world):
    text = world.fitted(block.text)
    if "import gracehttp" not in text:
        text = f"import gracehttp\n{text}"
    world.write("serve.py", text)
    if "bind" not in text:
        world.environ["GRACEHTTP_BIND"] = "127.0.0.1:0"
    world.serve("exec python serve.py")
    world.stop()


@tried("application")
def test_applications(block, world):
    world.write("main.py", block.text)
    world.must_run("gracehttp check main:app")


_ASGI = """
import asyncio, contextlib
import gracehttp

def next_event():
    return b"data: event\\n\\n"

async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": b"begun", "more_body": True}})
{block}
    await send({{"type": "http.response.body", "body": b"ended"}})
"""
_WSGI = """
def next_event():
    return b"data: event\\n\\n"

def app(environ, start_response):
    draining = environ["gracehttp.draining"]
    start_response("200 OK", [])
    yield b"begun"
{block}
"""


@tried("in")
def test_parts_of_an_application(block, world):
    text = block.text.replace("    ...\n", "    await asyncio.sleep(0.01)\n")
    if text.rstrip().endswith('goodbye\\n\\n"})'):
        text += "return\n"
    template = _WSGI if "yield" in text else _ASGI
    (world.folder / "main.py").write_text(template.format(block=textwrap.indent(text, "    ")))
    server = world.serve("exec gracehttp serve main:app --bind 127.0.0.1:0 --lifespan auto")
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        received = b""
        while b"begun" not in received:
            received += sock.recv(65536)
        world.must_run('gracehttp restart --quiet --pid "$PID"')
        while not received.endswith(b"\r\n0\r\n\r\n"):
            piece = sock.recv(65536)
            assert piece, f"the stream was cut after {received[-200:]!r}"
            received += piece
    server.wait_for("drained in .* no request was cut|generation 1 is gone")


# --- what is read ---


def _with_files_of_its_section(block, world):
    for other in BLOCKS:
        if (other.page, other.section) == (block.page, block.section) and other.kind == "file":
            world.write(other.about, other.text)


@tried("configuration")
def test_configurations(block, world):
    _with_files_of_its_section(block, world)
    world.write("gracehttp.toml", block.text)
    if "app" not in tomllib.loads(block.text):
        world.write("gracehttp.toml", f'app = "main:app"\n{block.text}')
    world.must_run("gracehttp check -c gracehttp.toml")


@tried("log")
def test_configurations_of_the_log(block, world):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        with contextlib.chdir(world.folder):  # its path may be too long for a socket
            log.bind("log")
        log.settimeout(DEADLINE_SECONDS)
        world.write("log.toml", block.text.replace("/dev/log", "log"))
        server = world.serve("exec gracehttp serve main:app --bind 127.0.0.1:0 --log-config log.toml --access-log")
        assert get(server.port, "/watched")[0] == 200
        assert re.search(rb"127\.0\.0\.1:\d+ GET /watched 200", log.recv(65536))


@tried("options")
def test_options_of_modules(block, world):
    for line in lines_of(block.text):
        called = re.search(r"(python -m (\S+))", line)
        if called is None:
            continue  # what has to be installed for it
        command, module = called.groups()
        known = world.must_run(f"cd {shlex.quote(str(ROOT))} && {command} --help")
        assert set(re.findall(r"(?<!\S)--[\w-]+", line)) <= set(re.findall(r"--[\w-]+", known)), module


@tried("starts")
def test_what_starts_a_server(block, world):
    text = world.fitted(block.text)
    if block.language == "json":
        (one,) = json.loads(text)["configurations"]
        line = shlex.join(["python", "-m", one["module"], *one["args"]])
    else:
        line = shlex.join(json.loads(text.removeprefix("CMD ")))
    world.environ["PORT"] = str(free_port())
    world.serve(line)
    world.stop()


@tried("for")
def test_files_for_other_tools(block, world):
    _READERS[block.about](world, block)


def _nginx(world, block):
    text = world.fitted(re.sub(r"\blisten 80;", f"listen {free_port()};", block.text))
    if not text.startswith("upstream"):
        text = (
            "map $http_upgrade $connection_upgrade { default upgrade; '' ''; }\n"
            f"upstream app {{ server 127.0.0.1:1; }}\nserver {{ listen {free_port()};\n{text}}}\n"
        )
    world.write("nginx.conf", f"pid {world.folder}/nginx.pid;\nevents {{}}\nhttp {{\n{text}}}\n")
    world.tool("nginx", "-t", "-q", "-p", world.folder, "-c", "nginx.conf", "-e", "stderr")


def _haproxy(world, block):
    frame = "defaults\n    timeout connect 5s\n    timeout client 5s\n    timeout server 5s\n"
    head = f"listen app\n    bind 127.0.0.1:{free_port()}\n    mode http\n" if block.text.startswith("server") else ""
    (world.folder / "haproxy.cfg").write_text(frame + head + block.text)
    world.tool("haproxy", "-c", "-f", "haproxy.cfg")


def _logrotate(world, block):
    world.write("rotation", block.text)
    (world.folder / "rotation").chmod(0o644)
    world.tool("logrotate", "--debug", "--state", world.folder / "state", world.folder / "rotation")


def _systemd(world, block):
    text = world.fitted(block.text)
    if "[Socket]" in text:
        world.write("app.socket", text)
        world.write("app.service", "[Service]\nExecStart=/bin/true\n")
        unit = "app.socket"
    else:
        world.write("app.service", text)
        unit = "app.service"
    said = world.tool("systemd-analyze", "verify", "--man=no", world.folder / unit)
    assert unit not in said, said


def _prometheus(world, block):
    yaml = pytest.importorskip("yaml")
    (job,) = yaml.safe_load(block.text)["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    server = world.serve(f"exec gracehttp serve main:app --bind 127.0.0.1:0 --metrics {world.fitted(target)}")
    assert server.process.poll() is None
    status, text = get(int(world.fitted(target).rpartition(":")[2]), "/metrics")  # its default for metrics_path
    assert status == 200
    assert f"# TYPE {job['job_name']}_" in text


def _gunicorn(world, block):
    pytest.importorskip("prometheus_client")
    world.write("gunicorn.conf.py", block.text)
    (becomes,) = (other for other in BLOCKS if other.page == block.page and other.mark == "configuration")
    printed = world.run("gracehttp migrate gunicorn.conf.py").stdout
    wanted = tomllib.loads(becomes.text)
    assert f"workers = {wanted['workers']}\n" in printed
    assert all(hook in printed for hook in wanted["hooks"])


_READERS = {
    "nginx": _nginx,
    "haproxy": _haproxy,
    "logrotate": _logrotate,
    "systemd": _systemd,
    "prometheus": _prometheus,
    "gunicorn": _gunicorn,
}


# --- what is shown ---


def a_restart_and_a_stop(world):
    server = world.serve("exec gracehttp serve main:app --workers 2 --bind 127.0.0.1:0 --spare off")
    server.restart(2)
    server.wait_until_gone(1)
    server.stop()
    return server.log


def a_broken_deploy(world):
    server = world.serve("exec gracehttp serve main:app --bind 127.0.0.1:0")
    (world.folder / "main.py").write_text('VERSION = = "three"\n')
    done = world.run('gracehttp restart --pid "$PID"')
    assert done.returncode == 1
    server.stop()
    return f"$ gracehttp restart --pidfile app.pid\n{done.stderr}"


def a_broken_deploy_by_a_signal(world):
    server = world.serve("exec gracehttp serve slow:app --bind 127.0.0.1:0")
    (world.folder / "slow.py").write_text("\n" * 6 + "x = = 1\n")
    server.send_signal(signal.SIGHUP)
    server.wait_for("was given up")
    server.stop()
    return server.log


def an_import_that_is_missing(world):
    server = world.serve("exec gracehttp serve main:app --bind 127.0.0.1:0")
    (world.folder / "main.py").write_text("import nothing_like_it\n")
    done = world.run('gracehttp restart --pid "$PID" --quiet')
    assert done.returncode == 1
    server.stop()
    return f"$ gracehttp restart --pid {world.environ['PID']} --quiet\n{done.stderr}"


def a_rollback(world):
    server = world.serve("exec gracehttp serve main:app --workers 2 --probation 10s --bind 127.0.0.1:0")
    killing = "        import os; os.kill(os.getpid(), 11)\n"
    text = (world.folder / "main.py").read_text()
    (world.folder / "main.py").write_text(text.replace("    await send", f"    if True:\n{killing}    await send", 1))
    with server.command_in_background("restart") as restart:
        server.wait_for("on probation")
        with contextlib.suppress(ConnectionError):
            get(server.port)
        _out, err = restart.communicate(timeout=DEADLINE_SECONDS)
    server.stop()
    return f"$ gracehttp restart --pidfile app.pid\n{err}"


def ps(world):
    server = world.serve("exec gracehttp serve main:app --workers 2 --preload --bind 127.0.0.1:0 --spare off")
    pids = [server.pid, *sorted(server.workers())]
    shown = world.must_run(f"ps -o args= -p {','.join(map(str, pids))}")
    server.stop()
    return shown


def limits(world):
    shown = ""
    for option, told in (("", "listening on"), ("--max-connections 50000", "the limit of")):
        line = f"ulimit -n 20000; exec gracehttp serve main:app --bind 127.0.0.1:0 {option}"
        if world.run("ulimit -n 20000").returncode:
            pytest.skip("no more than 19,999 open files are allowed")
        server = world.serve(line)
        shown += server.wait_for(told).string + "\n"
        server.stop()
    return shown


def status(world):
    server = world.serve("exec gracehttp serve main:app --workers 2 --bind 127.0.0.1:0")
    server.restart(2)
    server.wait_until_gone(1)
    shown = world.must_run('gracehttp status --pid "$PID"')
    server.stop()
    return f"$ gracehttp status --pid {world.environ['PID']}\n{shown}"


def a_reload(world):
    pytest.importorskip("watchfiles")
    server = world.serve("exec gracehttp serve main:app --reload --bind 127.0.0.1:0")
    server.wait_for("watching")
    with (world.folder / "shop" / "views.py").open("a") as file:
        file.write("# changed\n")
    server.wait_until_serving(2)
    server.stop()
    return server.log


def new_certificates(world):
    def issue(days, key):
        # Its last day has begun: an hour more than the days, so that it has not ended when the line is written.
        ends = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days, hours=1)
        world.issue("example.org", "cert.pem", key, not_after=ends)

    issue(60, "key.pem")
    tls = "--bind https://127.0.0.1:0 --certfile cert.pem --keyfile key.pem"
    server = world.serve(f"exec gracehttp serve main:app --workers 2 {tls}")
    issue(89, "key.pem")
    server.wait_for("changed to the new certificate")
    shown = world.must_run('gracehttp status --json --pid "$PID"')
    issue(89, "other.pem")
    server.wait_for("is refused")
    server.stop()
    return f"{server.log}\n{shown}"


SCENARIOS = {
    scenario.__name__.replace("_", " "): scenario
    for scenario in (
        a_restart_and_a_stop,
        a_broken_deploy,
        a_broken_deploy_by_a_signal,
        an_import_that_is_missing,
        a_rollback,
        ps,
        limits,
        status,
        a_reload,
        new_certificates,
    )
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_is_shown_comes_up(name, world):
    output = _plain(SCENARIOS[name](world))
    blocks = [block for block in of_kind("shown") if block.about == name]
    assert blocks, "no page shows it"
    for block in blocks:
        pattern = ".*?".join(_loosely(piece) for piece in re.split(r"^\.\.\.$", _plain(block.text), flags=re.MULTILINE))
        assert re.search(pattern, " ".join(output.split())), f"{output}\ndoesn't show {block.name}:\n{block.text}"


def _plain(text):
    """Without the time, the level and the PID before a line of a log."""
    return re.sub(r"^\d{4}-\d\d-\d\d [\d:.]+ \w+ +\[\d+\] ", "", text, flags=re.MULTILINE)


def _loosely(text):
    """Numbers, folders, addresses and times may differ, and where a line is wrapped."""
    a_folder = "\ue000"
    text = re.sub(
        r"(?<![:/\w])(?:/[\w-]+)+(/[\w-]+\.\w+)?", lambda path: a_folder + (path[1] or ""), " ".join(text.split())
    )
    pattern = re.escape(text).replace(a_folder, r"\S*")
    pattern = re.sub(r"\d+(?:\\\.\d+)*", r"[\\d.]+", pattern)
    return re.sub(r"(?<![\w\-])(?:compiled|interpreted)\b", r"(?:compiled|interpreted(?: \\([^)]*\\))?)", pattern)


TRIALS = {
    "commands", "installing", "script", "application", "in", "configuration", "log", "options", "starts", "for",
}  # fmt: skip


def test_each_kind_of_trial_is_of_use():
    assert {kind for kind in TRIALS if not of_kind(kind)} == set()
