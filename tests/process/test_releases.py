"""Releases with an environment each, behind a link that a deploy turns to the next one."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import site
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from server_harness import get, wait_until

APPLICATION = """
    import os
    import sys

    RELEASE = open(os.path.join(os.path.dirname(__file__), "number")).read()

    async def app(scope, receive, send):
        environment = os.path.relpath(sys.prefix, os.environ["RELEASES"])
        body = f"{RELEASE} {environment} {os.getpid()}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})
"""

PROGRAM = "import sys\nfrom gracehttp.cli import main\nsys.exit(main())\n"


class Releases:
    """`root/releases/N`, each with an application and an environment, and the link `root/current`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.current = root / "current"

    def folder(self, number: int) -> Path:
        return self.root / "releases" / str(number)

    def make(self, number: int) -> Path:
        """As an installer does: the program's first line names the interpreter of its environment."""
        folder = self.folder(number)
        folder.mkdir(parents=True)
        (folder / "main.py").write_text(textwrap.dedent(APPLICATION))
        (folder / "number").write_text(str(number))
        (folder / "gracehttp.toml").write_text('app = "main:app"\napp_dir = "."\nbind = "127.0.0.1:0"\n')
        environment = folder / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
        packages = environment / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
        for one in site.getsitepackages():  # where the packages of the tests are, and what they are editable from
            (packages / "packages.pth").write_text(f"import site; site.addsitedir({one!r})\n")
        program = environment / "bin" / "gracehttp"
        program.write_text(f"#!{environment}/bin/python\n{PROGRAM}")
        program.chmod(0o755)
        return folder

    def turn(self, number: int) -> None:
        """In one step (rename(2))."""
        new = self.root / "current.new"
        new.symlink_to(self.folder(number))
        new.rename(self.current)


@pytest.fixture
def releases(tmp_path):
    made = Releases(tmp_path)
    made.make(1)
    made.make(2)
    made.turn(1)
    return made


@pytest.fixture
def serve(start, releases):
    """Start the program of the current release, by the names of the link unless others are given."""

    def begin(*arguments, program=None, shell=True, environment=None, folder=None):
        program = program or (releases.current / "venv/bin/gracehttp",)
        variables = {"RELEASES": str(releases.root / "releases"), **(environment or {})}
        remove = () if shell else ("env", "--unset=PWD")
        server = start(
            *(arguments or ("serve", "main:app", "-b", "127.0.0.1:0")),
            folder=folder or releases.current,
            environment=variables,
            program=program,
            launcher=remove,
        )
        server.wait_until_serving()
        return server

    return begin


def seen(server):
    """What a client sees: the release of the code, that of its environment, and the PID."""
    code, environment, pid = get(server.port)[1].split()
    return code, environment, int(pid)


def restart(server, how, generation):
    if how == "command":
        assert server.command("restart").returncode == 0, server.log
    else:
        server.send_signal(how)
        server.wait_until_serving(generation)


def begin(serve, releases, form):
    common = ("serve", "main:app", "-b", "127.0.0.1:0")
    current, first = releases.current / "venv", releases.folder(1) / "venv"
    match form:
        case "program":
            return serve()
        case "interpreter":
            return serve("-m", "gracehttp", *common, program=(current / "bin/python",))
        case "preload":
            return serve(*common, "--preload", "-w", "2")
        case "PATH":
            return serve(*common, program=("gracehttp",), environment={"PATH": f"{current}/bin:{os.environ['PATH']}"})
        case "activated":  # the script `activate` has the name by which the environment was made
            path = f"{first}/bin:{os.environ['PATH']}"
            return serve(*common, program=("gracehttp",), environment={"PATH": path, "VIRTUAL_ENV": str(first)})
        case "file of options":
            return serve("serve", "-c", releases.current / "gracehttp.toml", folder=releases.root)
        case "no PWD":
            return serve(shell=False)
    raise AssertionError(form)


FORMS = ("program", "interpreter", "preload", "PATH", "activated", "file of options", "no PWD")


@pytest.mark.parametrize("how", [signal.SIGHUP, "command", signal.SIGUSR2], ids=["HUP", "command", "USR2"])
@pytest.mark.parametrize("form", FORMS)
def test_a_restart_brings_code_and_environment_that_the_link_names_now(serve, releases, form, how):
    server = begin(serve, releases, form)
    assert seen(server)[:2] == ("1", "1/venv")
    releases.turn(2)
    restart(server, how, 2)
    assert seen(server)[:2] == ("2", "2/venv")
    assert f"the link {releases.current} leads to {releases.folder(2)} now" in server.log
    releases.make(3)
    releases.turn(3)
    restart(server, "command", 3)
    assert seen(server)[:2] == ("3", "3/venv")


@pytest.mark.parametrize("form", ["program", "interpreter", "preload", "file of options"])
@pytest.mark.parametrize("replaced", [False, True], ids=["same supervisor", "replaced supervisor"])
def test_a_crashed_worker_is_replaced_by_one_of_the_release_of_its_generation(serve, releases, form, replaced):
    server = begin(serve, releases, form)
    if replaced:
        restart(server, signal.SIGUSR2, 2)
    ready = server.log.count("is ready after")
    _, _, pid = seen(server)
    releases.turn(2)
    os.kill(pid, signal.SIGKILL)
    server.wait_for("is ready after", count=ready + 1)
    answers = set()
    while len(answers) < (2 if form == "preload" else 1):
        answers |= {one for _ in range(10) if (one := seen_or_none(server)) is not None and one[2] != pid}
    assert {answer[:2] for answer in answers} == {("1", "1/venv")}
    restart(server, "command", 3 if replaced else 2)
    assert seen(server)[:2] == ("2", "2/venv")


def seen_or_none(server):
    with contextlib.suppress(OSError, ValueError):
        return seen(server)
    return None


def test_a_worker_that_is_added_is_of_the_release_of_its_generation(serve, releases):
    server = begin(serve, releases, "program")
    _, _, pid = seen(server)
    releases.turn(2)
    server.send_signal(signal.SIGTTIN)
    server.wait_for("worker 2 of generation 1 is ready")
    os.kill(pid, signal.SIGSTOP)  # so that the other one answers
    try:
        wait_until(lambda: (seen_or_none(server) or "none")[:2] == ("1", "1/venv"))
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_release_that_was_removed_is_told_and_the_worker_starts_from_the_next_one(serve, releases):
    server = begin(serve, releases, "program")
    _, _, pid = seen(server)
    releases.turn(2)
    shutil.rmtree(releases.folder(1))
    os.kill(pid, signal.SIGKILL)
    told = server.wait_for(r"releases/1, from which generation 1 was started, is gone: worker 2 starts from (\S+)")
    assert told[1] == str(releases.folder(2))
    server.wait_for("worker 2 of generation 1 is ready")
    assert seen(server)[:2] == ("2", "2/venv")
    restart(server, "command", 2)


def test_a_release_that_was_removed_and_no_next_one_is_told_until_there_is_one(serve, releases):
    server = begin(serve, releases, "program")
    _, _, pid = seen(server)
    shutil.rmtree(releases.folder(1))
    os.kill(pid, signal.SIGKILL)
    server.wait_for("and so is all that its names lead to: worker 2 can't start .Hint: put it back")
    releases.turn(2)
    restart(server, "command", 2)
    assert seen(server)[:2] == ("2", "2/venv")


def test_an_environment_that_was_copied_is_refused(serve, releases):
    server = begin(serve, releases, "program")
    shutil.copytree(releases.folder(1), releases.folder(3), symlinks=True)
    releases.turn(3)
    refused = server.command("restart")
    assert refused.returncode == 1
    expected = f"in the environment {releases.folder(3)}/venv is run with the environment {releases.folder(1)}/venv"
    assert expected in refused.stderr
    assert seen(server)[:2] == ("1", "1/venv")


def test_a_release_without_an_environment_is_refused(serve, releases):
    server = begin(serve, releases, "program")
    releases.make(3)
    shutil.rmtree(releases.folder(3) / "venv")
    releases.turn(3)
    refused = server.command("restart")
    assert refused.returncode == 1
    assert f"{releases.folder(3)}/venv/bin/gracehttp can't be executed" in refused.stderr
    assert refused.stderr.count("can't be executed") == 1
    assert seen(server)[:2] == ("1", "1/venv")


def test_an_interpreter_that_is_gone_is_named(serve, releases):
    server = begin(serve, releases, "program")
    releases.make(3)
    (releases.folder(3) / "venv/bin/python").unlink()
    releases.turn(3)
    refused = server.command("restart")
    assert refused.returncode == 1
    assert f"(its first line names {releases.folder(3)}/venv/bin/python)" in refused.stderr


def test_a_link_that_no_name_mentions_can_not_be_followed_and_that_is_told(serve, releases):
    common = ("-m", "gracehttp", "serve", "main:app", "-b", "127.0.0.1:0")
    server = serve(*common, program=(sys.executable,), shell=False)
    releases.turn(2)
    server.restart(2)
    server.wait_for(rf"the link {releases.current} leads to .*/2 now.*new workers start in {releases.folder(1)} all")
    assert get(server.port)[1].split()[0] == "1"


def test_what_the_application_starts_finds_the_environment_of_its_release(serve, releases):
    for number in (1, 2):
        (releases.folder(number) / "main.py").write_text(
            textwrap.dedent("""
            import os, shutil

            async def app(scope, receive, send):
                ours = [name for name in os.environ if "RELEASE_LINKS" in name]
                body = " ".join([os.environ["VIRTUAL_ENV"], shutil.which("gracehttp"), *ours]).encode()
                headers = [(b"content-length", b"%d" % len(body))]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": body})
            """)
        )
    server = begin(serve, releases, "activated")
    for number, how in ((1, None), (2, "command"), (1, signal.SIGUSR2)):
        if how:
            releases.turn(number)
            restart(server, how, 2 if how == "command" else 3)
        environment = releases.folder(number) / "venv"
        assert get(server.port)[1] == f"{environment} {environment}/bin/gracehttp"
