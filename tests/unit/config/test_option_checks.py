"""Files that options name are looked for before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from gracehttp.api import GraceHTTP
from gracehttp.config import checks, load, process_options, server_options
from gracehttp.config.checks import check_app_dir, check_certificates, reload_folders
from gracehttp.errors import ConfigurationError


@pytest.mark.parametrize("missing", ["certfile", "keyfile"])
def test_certificate_or_key_that_is_not_there_is_a_mistake_in_the_options(tmp_path: Path, missing: str) -> None:
    paths = {"certfile": tmp_path / "cert.pem", "keyfile": tmp_path / "key.pem"}
    for name, path in paths.items():
        if name != missing:
            path.touch()
    servers = server_options("main:app", bind="https://:1", certfile=paths["certfile"], keyfile=paths["keyfile"])
    with pytest.raises(ConfigurationError, match=rf"the {missing} {paths[missing]} does not exist"):
        check_certificates(servers)


def test_files_that_are_there_are_fine(tmp_path: Path) -> None:
    (tmp_path / "both.pem").touch()
    check_certificates(server_options("main:app", bind="https://:1", certfile=tmp_path / "both.pem"))
    check_app_dir(str(tmp_path))


@pytest.mark.parametrize("mistake", ["app_dir", "certfile"])
def test_run_exits_with_status_2_before_it_opens_anything(
    tmp_path: Path, mistake: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(GraceHTTP, "_supervise", lambda self, bus: 0)
    nowhere = str(tmp_path / "nowhere")
    program = GraceHTTP(app_dir=nowhere) if mistake == "app_dir" else GraceHTTP()
    program.add_server("main:app", **({"certfile": nowhere} if mistake == "certfile" else {}))
    with pytest.raises(SystemExit) as ended:
        program.run()
    assert ended.value.code == 2
    assert f"{nowhere} does not exist." in capsys.readouterr().err


def test_reload_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="needs the package watchfiles") as caught:
        reload_folders(process_options(reload=True))
    assert caught.value.hint == "pip install 'gracehttp[reload]'"


def test_reload_watches_the_folder_of_the_application_unless_told_otherwise(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert reload_folders(process_options(app_dir=str(tmp_path))) == (str(tmp_path),)
    assert reload_folders(process_options(reload_dir=[str(tmp_path / "a")])) == (str(tmp_path / "a"),)
    with pytest.raises(ConfigurationError, match=r"the folder to watch, .*/nowhere, does not exist"):
        reload_folders(process_options(reload_dir=[str(tmp_path / "nowhere")]))


def test_several_folders_in_a_file_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "conf.toml").write_text('app = "main:app"\nreload_dir = ["a", "../b"]\n')
    process = load(cli={}, environ={}, file=tmp_path / "conf.toml").process
    assert process.reload_dir == (str(tmp_path / "a"), str(tmp_path.parent / "b"))
