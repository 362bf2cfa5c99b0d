"""Completion in real shells: commands, options, their values, and files, at a terminal."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

import pytest
from server_harness import read_until

CASES = {
    "gracehttp mig": "gracehttp migrate",
    "gracehttp serve --keep": "gracehttp serve --keep-alive-timeout",
    "gracehttp serve main:app --log-format j": "gracehttp serve main:app --log-format json",
    "gracehttp serve main:app --lifespan of": "gracehttp serve main:app --lifespan off",
    "gracehttp serve --certfile certificate-o": "gracehttp serve --certfile certificate-of-mine.pem",
    "gracehttp check --config opt": "gracehttp check --config options.toml",
    "gracehttp serve --app-dir appl": "gracehttp serve --app-dir applications",
    "gracehttp example kuber": "gracehttp example kubernetes",
    "gracehttp completion fi": "gracehttp completion fish",
    "gracehttp restart --supers": "gracehttp restart --supersede",
}
SHOW = "\x18"
"""Ctrl+X: makes the shell tell what its line has become, and empties it."""
SET_UP = {
    "bash": [
        "bind 'set show-all-if-ambiguous on'",
        "bind 'set enable-bracketed-paste off'",
        'show() { echo "[$READLINE_LINE]"; READLINE_LINE=; }',
        "bind -x '\"\\C-x\": show'",
        'eval "$(gracehttp completion bash)"',
    ],
    "zsh": [
        "autoload -U compinit && compinit -u -D",
        'show() { zle -I; print -r -- "[$BUFFER]"; BUFFER=; }',
        "zle -N show; bindkey '^X' show; bindkey '^I' complete-word",
        'eval "$(gracehttp completion zsh)"',
    ],
}
COMMANDS = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}


@pytest.fixture
def folder(tmp_path):
    command = tmp_path / "bin" / "gracehttp"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m gracehttp "$@"\n')
    command.chmod(0o755)
    for name in ("certificate-of-mine.pem", "options.toml"):
        (tmp_path / name).write_text("")
    (tmp_path / "applications").mkdir()
    return tmp_path


def environ(folder):
    return {
        **os.environ,
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "HOME": str(folder),
        "TERM": "dumb",
        "COLUMNS": "200",
    }


def missing(shell):
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"{shell} is not installed")


@pytest.mark.parametrize("shell", [pytest.param(shell, marks=missing(shell)) for shell in SET_UP])
def test_a_tab_completes_the_line(shell, folder):
    pid, terminal = os.forkpty()
    if pid == 0:
        try:
            for number in (signal.SIGINT, signal.SIGHUP):  # who runs the tests in the background may ignore them
                signal.signal(number, signal.SIG_DFL)
            os.chdir(folder)
            os.execvpe(shell, COMMANDS[shell], environ(folder))
        finally:
            os._exit(127)
    try:
        for line in [*SET_UP[shell], "echo set''up"]:
            os.write(terminal, f"{line}\n".encode())
        read_until(terminal, "setup")
        for typed, becomes in CASES.items():
            os.write(terminal, f"{typed}\t{SHOW}".encode())
            shown = read_until(terminal, "]")
            assert shown.rpartition("[")[2].rpartition("]")[0].rstrip(" /") == becomes
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


@missing("fish")
def test_fish_offers_what_completes_the_line(folder):
    script = "gracehttp completion fish | source\n" + "".join(
        f"echo '{typed}:' (complete -C '{typed}')\n" for typed in CASES
    )
    done = subprocess.run(
        ["fish", "--no-config"], input=script, cwd=folder, env=environ(folder), capture_output=True, text=True
    )
    offered = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    for typed, becomes in CASES.items():
        first = typed.rpartition(" ")[0]
        assert f"{first} {offered[typed].split()[0]}".rstrip("/") == becomes, done.stderr
