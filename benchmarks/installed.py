"""Which installations are measured, and what they and the machine are."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .session import ROOT, BenchmarkFailed

_ASK_VERSIONS = """
import importlib.metadata, importlib.util, json, platform, sys
found = {"python": platform.python_version()}
distribution, module, *others = sys.argv[1:]
for name in (distribution, *others):
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
found["file"] = importlib.util.find_spec(module).origin
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Installation:
    """An interpreter that has a server. `source` goes before what it has; `variables` are added to the environment."""

    name: str
    python: Path
    source: Path | None = None
    variables: tuple[tuple[str, str], ...] = ()

    @classmethod
    def here(cls, name: str) -> Installation:
        """That of the interpreter which runs the benchmark."""
        return cls(name, Path(sys.executable))

    @classmethod
    def parse(cls, text: str, module: str = "gracehttp") -> Installation:
        """From `[NAME=]PATH[,VARIABLE=VALUE...]`; the path is an interpreter, a virtual environment, or a checkout.

        A checkout with a virtual environment in .venv is run by that, one without by the interpreter of the benchmark.
        """
        text, *settings = text.split(",")
        variables = []
        for setting in settings:
            variable, separator, value = setting.partition("=")
            if not separator:
                raise BenchmarkFailed(f"{setting!r} is no VARIABLE=VALUE.")
            variables.append((variable, value))
        name, separator, said = text.partition("=")
        name, path = (name, Path(said)) if separator else (module, Path(text))
        path = path.expanduser().absolute()  # not resolved: the interpreter of a virtual environment is a link
        if path.is_file():
            return cls(name, path, None, tuple(variables))
        source = path / "src" if (path / "src" / module).is_dir() else None
        for python in (path / "bin" / "python", path / ".venv" / "bin" / "python"):
            if python.is_file():
                return cls(name, python, source, tuple(variables))
        if source is None:
            raise BenchmarkFailed(f"{path} is no interpreter, no virtual environment and no checkout of {module}.")
        return cls(name, Path(sys.executable), source, tuple(variables))

    def facts(self, distribution: str, module: str, *others: str) -> dict[str, str]:
        """The versions of what is installed, and the commit if it runs from a checkout. Empty if it isn't installed."""
        command = [str(self.python), "-c", _ASK_VERSIONS, distribution, module, *others]
        asked = subprocess.run(command, env=self.environment(), cwd=ROOT, capture_output=True, text=True, check=False)
        if asked.returncode != 0:
            return {}
        found: dict[str, str] = json.loads(asked.stdout)
        commit = _commit(Path(found.pop("file")).parent)
        return {"name": self.name, **found, **({"commit": commit} if commit else {}), **dict(self.variables)}

    def environment(self, bytecode: Path | None = None) -> dict[str, str]:
        """Of its processes: no option of a server by a variable, and bytecode is kept, as it is for a user."""
        theirs = ("PYTHON", "GRACEHTTP_", "UVICORN_", "GRANIAN_", "H2CORN_", "GUNICORN_", "FREASTAL_")
        others = ("WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS", "DJANGO_SETTINGS_MODULE")
        kept = {name: value for name, value in os.environ.items() if not name.startswith((*theirs, *others))}
        if bytecode is not None:
            kept["PYTHONPYCACHEPREFIX"] = str(bytecode)
        if self.source is not None:
            kept["PYTHONPATH"] = str(self.source)
        kept.update(self.variables)
        return kept


def _commit(folder: Path) -> str | None:
    """The commit of a checkout, with a plus if its files differ from it; None outside of one."""

    def git(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)

    if git("ls-files", "--error-unmatch", "__init__.py").returncode != 0:
        return None
    changed = "+" if git("status", "--porcelain", "--untracked-files=no", ".").stdout else ""
    return git("rev-parse", "--short", "HEAD").stdout.strip() + changed


def machine() -> dict[str, object]:
    """What the figures depend on, beside the servers."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "processor": model[1] if model else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "load before": round(os.getloadavg()[0], 2),
        "client": _first_words("wrk", "--version"),
    }


def _first_words(*command: str) -> str:
    """The first two words that a program says of itself; empty if it isn't installed."""
    with contextlib.suppress(FileNotFoundError):
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        return " ".join((said.stdout or said.stderr).split()[:2])
    return ""
