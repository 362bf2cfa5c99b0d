"""Does what a page of the documentation says, block by block, in an empty folder, and compares what it shows.

A comment before a block of code says what is done with it:

- `<!-- file main.py -->`: the block is the content of that file.
- `<!-- run -->`: lines that begin with `$ ` are typed into a shell, one after the other, each when the one before has
  ended. The lines below one are all that it may print.
- `<!-- run in NAME -->`: the last line is typed into a shell of its own, where it may go on. The lines below it come
  up.
- `<!-- seen in NAME -->`: these lines come up in that shell, after those that have been seen there.

A section with `<!-- alone -->` is followed for itself, and skipped where a package that it names (`<!-- alone, with
PACKAGE -->`) can't be imported.

`...` stands for any lines, and within a line for any text. Numbers of four or more digits (PIDs, limits), durations and
the width of columns may differ. A line of a log begins with the time, so what comes up is compared from the end of a
line. `127.0.0.1:8000` stands for any free port, `/home/you/hello` for the folder.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from server_harness import DEADLINE_SECONDS, free_port, log_and_reason

_STEP = re.compile(r"^<!-- (file|run|seen)(?: in)?(?: ([^\s]+))? -->\n```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PARTS_KINDS = ("file", "run", "seen")
_ENDED = "\x01ended\x01"
_LOOSE = re.compile(r"(?P<dots>\.\.\.)|(?P<seconds>\d+(?:\.\d+)?(?= ?s\b))|(?P<long>\d{4,})|(?P<space> +)")


_ALONE = re.compile(r"^<!-- alone(?:, with ([\w ,]+))? -->$", re.MULTILINE)


class Part:
    """What is followed in one go: a page without its sections that stand alone, or one of those."""

    def __init__(self, name, text):
        self.name = name
        self.steps = _STEP.findall(text)  # kind, name and block of each
        alone = _ALONE.search(text)
        packages = (alone[1] or "").replace(",", " ").split() if alone else []
        self.missing = [package for package in packages if not _is_installed(package)]


def _is_installed(package):
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # not even the package that it is in
        return False


def parts(page):
    """The parts of a page in which there is something to do, and not only files."""
    together, found = "", []
    for section in re.split(r"^(?=## )", page.read_text(encoding="utf-8"), flags=re.MULTILINE):
        if _ALONE.search(section):
            title = section.splitlines()[0].removeprefix("## ")
            found.append(Part(f"{page.stem}: {title}", section))
        else:
            together += section
    return [part for part in [Part(page.stem, together), *found] if any(kind != "file" for kind, _, _ in part.steps)]


class Reader:
    """Somebody who follows a page in `folder`."""

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        (folder / ".curlrc").write_text("no-progress-meter\n")  # as at a terminal
        self._shells = {}

    def follow(self, part):
        for kind, name, block in part.steps:
            block = block.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}")
            block = block.replace("/home/you/hello", str(self.folder))
            if kind == "file":
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / name).write_text(block)
            elif kind == "seen":
                self.shell(name).see(block)
            elif name:
                command, output = _commands(block)[-1]
                self.shell(name).type(command)
                self.shell(name).see(output)
            else:
                for command, output in _commands(block):
                    self.shell("").type(command)
                    self.shell("").end_with(output, command)

    def shell(self, name):
        if name not in self._shells:
            self._shells[name] = Shell(self.folder)
        return self._shells[name]

    def leave(self):
        for pidfile in self.folder.glob("*.pid"):
            subprocess.run(
                [sys.executable, "-m", "gracehttp", "stop", "-q", "--timeout", "10s", "--pidfile", str(pidfile)],
                check=False,
                capture_output=True,
            )
        for shell in self._shells.values():
            shell.end()


class Shell:
    """One that reads its lines from a pipe, so that nothing of what is typed is shown."""

    def __init__(self, folder):
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("GRACEHTTP_", "PYTEST_"))}
        environ |= {
            "PATH": f"{Path(sys.executable).parent}:{environ['PATH']}",
            "PYTHONDONTWRITEBYTECODE": "1",  # files change faster here than time stamps tell
            "CURL_HOME": str(folder),
            "COLUMNS": "200",
        }
        self._process = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )
        self._shown = ""
        self._seen = 0
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def type(self, command):
        line = f"{command}\nended=$?; printf '{_ENDED}\\n'; (exit $ended)\n"
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def end_with(self, output, command):
        """Wait until the command has ended: then it must have shown this, and nothing else."""
        shown = self._wait(lambda rest: re.match(rf"(.*?){_ENDED}\n", rest, re.DOTALL), f"the end of {command!r}")[1]
        shown += "" if shown.endswith("\n") or not shown else "\n"
        if not re.fullmatch(_pattern(output), shown):
            pytest.fail(log_and_reason(shown, f"{command!r} should show {output!r}"))

    def see(self, output):
        """Wait until these lines have come up."""
        pattern = re.compile(_pattern(output, begins=r"[^\n]*"))
        self._wait(pattern.search, repr(output))

    def end(self):
        self._process.stdin.close()
        self._process.terminate()
        self._process.wait(timeout=DEADLINE_SECONDS)
        self._process.stdout.close()

    def _wait(self, find, what):
        with self._changed:
            found = self._changed.wait_for(lambda: find(self._shown[self._seen :]), timeout=DEADLINE_SECONDS)
            if not found:
                pytest.fail(log_and_reason(self._shown[self._seen :], f"{what} did not come up"))
            self._seen += found.end()
            return found

    def _read(self):
        for line in self._process.stdout:
            with self._changed:
                self._shown += line
                self._changed.notify_all()


def _commands(block):
    """The commands of a block with what each shows; a command goes on in lines that begin with `> `."""
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append([line.removeprefix("$ "), ""])
        elif line.startswith("> "):
            found[-1][0] += "\n" + line.removeprefix("> ")
        else:
            found[-1][1] += line + "\n"
    return found


def _pattern(output, *, begins=""):
    return "".join(
        r"(?:[^\n]*\n)*?" if line.strip() == "..." else begins + _line(line.rstrip()) + r" *\n"
        for line in output.splitlines()
    )


def _line(line):
    pattern, position = "", 0
    for loose in _LOOSE.finditer(line):
        pattern += re.escape(line[position : loose.start()])
        pattern += {"dots": r"[^\n]*", "seconds": r"[\d.]+", "long": r"\d+", "space": " +"}[loose.lastgroup]
        position = loose.end()
    return pattern + re.escape(line[position:])
