"""The command line of a program that a debugger has started."""

from __future__ import annotations

import pytest

from gracehttp.supervisor.processes.debugger import without_debugger

MODULE = ["-m", "gracehttp", "serve", "main:app", "--listen", "x"]
SCRIPT = ["app.py", "-m", "debugpy"]


@pytest.mark.parametrize("target", [MODULE, SCRIPT, ["-c", "import app"]], ids=lambda target: target[0])
@pytest.mark.parametrize(
    "debugger",
    [
        ["-m", "debugpy", "--listen", "5678"],
        ["-m", "debugpy", "--listen", "0.0.0.0:5678", "--wait-for-client", "--log-to", "logs"],
        ["-m", "debugpy", "--log-to-stderr", "--configure-subProcess", "True", "--connect", "5678"],
        ["/opt/code/debugpy/adapter/../../debugpy", "--connect", "127.0.0.1:1", "--adapter-access-token", "x"],
        ["/opt/code/libs/debugpy/", "--connect", "127.0.0.1:1"],
    ],
    ids=" ".join,
)
def test_debugpy_is_left_out(debugger, target) -> None:
    assert without_debugger(["python", "-Xdev", *debugger, *target]) == ("python", "-Xdev", *target)


def test_pydevd_is_left_out() -> None:
    where = ["/opt/pycharm/pydevd.py", "--multiprocess", "--qt-support=auto", "--client", "127.0.0.1", "--port", "1"]
    assert without_debugger(["python", *where, "--file", *SCRIPT]) == ("python", *SCRIPT)
    assert without_debugger(["python", *where, "--module", "--file", *MODULE[1:]]) == ("python", *MODULE)


@pytest.mark.parametrize(
    "arguments", [["python", *MODULE], ["python", *SCRIPT], ["/venv/bin/gracehttp", "serve"], ["python"]]
)
def test_a_command_line_without_a_debugger_stays_the_same(arguments) -> None:
    assert without_debugger(arguments) == tuple(arguments)
