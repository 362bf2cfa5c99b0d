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


def test_several_certificates_have_their_keys_in_the_same_order():
    (server,) = server_options("main:app", bind="https://:1", certfile=["a.pem", "b.pem"], keyfile=["a.key", "b.key"])
    assert (server.certfile, server.keyfile) == (("a.pem", "b.pem"), ("a.key", "b.key"))
    (server,) = server_options("main:app", bind="https://:1?certfile=a.pem&certfile=b.pem")
    assert (server.certfile, server.keyfile) == (("a.pem", "b.pem"), ("a.pem", "b.pem"))
    with pytest.raises(ConfigurationError, match="differ in number: 2 and 1"):
        server_options("main:app", bind="https://:1", certfile=["a.pem", "b.pem"], keyfile="a.key")


@pytest.mark.parametrize(
    ("options", "decided"),
    [
        ({}, "none"),
        ({"ssl_ca": "ca.pem"}, "required"),
        ({"ssl_ca": "ca.pem", "ssl_verify": "optional"}, "optional"),
        ({"ssl_ca_certs": "ca.pem", "ssl_cert_reqs": 2}, "required"),
        ({"ssl_ca_certs": "ca.pem", "ssl_cert_reqs": "CERT_OPTIONAL"}, "optional"),
        ({"ssl_ca": "ca.pem", "ssl_verify": "none"}, "none"),
    ],
)
def test_an_authority_for_clients_means_that_their_certificates_are_required(options, decided):
    (server,) = server_options("main:app", bind="https://:1", certfile="a.pem", **options)
    assert server.asks_for_certificates == decided


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"ssl_verify": "optional"}, "ssl_verify optional has no effect without ssl_ca"),
        ({"ssl_crl": "crl.pem"}, "ssl_crl has no effect without ssl_ca"),
        (
            {"ssl_ca": "ca.pem", "ssl_crl": "crl.pem", "ssl_verify": "none"},
            "ssl_crl has no effect with ssl_verify none",
        ),
        ({"ssl_certfile": "b.pem"}, "gives certfile twice"),
        ({"ssl_version": "TLSv1"}, "ssl_min_version must be 1.2 or 1.3"),
    ],
)
def test_options_of_tls_that_contradict_each_other(options, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        server_options("main:app", bind="https://:1", certfile="a.pem", **options)


@pytest.mark.parametrize(("written", "read"), [("1.3", "1.3"), ("TLSv1_3", "1.3"), ("tls1.2", "1.2"), (17, "1.2")])
def test_how_the_oldest_version_may_be_written(written, read):
    (server,) = server_options("main:app", bind="https://:1", certfile="a.pem", ssl_version=written)
    assert server.ssl_min_version == read


def test_a_plain_address_beside_tls_needs_none_of_its_options():
    plain, secure = server_options("main:app", bind=["http://:1", "https://:2"], certfile="a.pem", ssl_ca="ca.pem")
    assert (plain.ssl_ca, plain.asks_for_certificates) == (None, "none")
    assert secure.asks_for_certificates == "required"


def test_authorities_of_clients_without_tls_are_an_error_because_all_clients_would_be_let_in():
    with pytest.raises(ConfigurationError, match=r"ssl_ca .* has no effect: 127.0.0.1:1 speaks no TLS") as caught:
        server_options("main:app", bind="127.0.0.1:1", ssl_ca="ca.pem")
    assert caught.value.hint == "give certfile too: it makes TLS"
    with pytest.raises(ConfigurationError, match="is plain, and has authorities of clients"):
        server_options("main:app", bind="http://127.0.0.1:1?ssl_ca=ca.pem", certfile="a.pem")


def test_the_proxy_protocol_without_a_trusted_peer_is_an_error_because_every_peer_would_be_turned_away():
    with pytest.raises(ConfigurationError, match=r"127.0.0.1:1 would turn every peer away"):
        server_options("main:app", bind="127.0.0.1:1", proxy=True, forwarded_allow_ips="none")
    server_options("main:app", bind="127.0.0.1:1", forwarded_allow_ips="none")


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
