"""Completion in a shell."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner
from deadlines import DEADLINE_SECONDS

from gracehttp.cli.program import program


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_asks_the_command_itself(shell):
    result = CliRunner().invoke(program, ["completion", shell])
    assert result.exit_code == 0
    assert f"_GRACEHTTP_COMPLETE={shell}_complete" in result.output


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_completes_commands_and_options(tmp_path):
    command = tmp_path / "gracehttp"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m gracehttp "$@"\n')
    command.chmod(0o755)
    script = f"""
        PATH={tmp_path}:$PATH
        eval "$(gracehttp completion bash)"
        COMP_WORDS=(gracehttp serve --keep); COMP_CWORD=2
        _gracehttp_completion gracehttp
        echo "${{COMPREPLY[@]}}"
        COMPREPLY=()
        COMP_WORDS=(gracehttp mig); COMP_CWORD=1
        _gracehttp_completion gracehttp
        echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=True)
    assert done.stdout == "--keep-alive-timeout\nmigrate\n"
