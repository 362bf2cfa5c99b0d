"""Certificates that change while the service runs: all workers take the new one, or none does."""

from __future__ import annotations

import datetime
import os
import signal

import pytest
import trustme
from cryptography import x509
from load_client import ECHO_APPLICATION, Load
from server_harness import PID_APPLICATION, get_on, wait_until
from tls_client import connect_tls, context_for, der

AUTHORITY = trustme.CA()
OPTIONS = ("--bind", "127.0.0.1:0", "--certfile", "cert.pem", "--keyfile", "key.pem")


def issue(*names, **options):
    return AUTHORITY.issue_cert(*(names or ("localhost", "127.0.0.1")), **options)


def certificate_of(issued):
    return b"".join(part.bytes() for part in issued.cert_chain_pems)


def put(folder, issued):
    (folder / "cert.pem").write_bytes(certificate_of(issued))
    (folder / "key.pem").write_bytes(issued.private_key_pem.bytes())


def in_days(days):
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)


def begin(start, folder, *options, workers=2, application=PID_APPLICATION, **more):
    issued = issue()
    put(folder, issued)
    server = start(
        *("-m", "gracehttp", "serve", "application:app", *OPTIONS, "--workers", workers, *options),
        files={"application.py": application},
        **more,
    )
    server.first = server.wait_until_serving()
    server.issued = issued
    return server


def client_context():
    return context_for(AUTHORITY)


def connect(server, context=None, name="localhost"):
    return connect_tls(server.port, context or client_context(), name)


def seen_by_all_workers(server, workers=2):
    """The certificates that connections get, until each worker has answered one."""
    pids, found = set(), set()

    def ask():
        with connect(server) as sock:
            found.add(sock.getpeercert(binary_form=True))
            pids.add(int(get_on(sock)[1]))
        return len(pids) == workers

    wait_until(ask, what="an answer of each worker")
    return found


def test_a_certificate_that_is_written_in_place_is_used_by_all_workers_without_a_restart(start, tmp_path):
    server = begin(start, tmp_path)
    with connect(server) as kept:
        assert int(get_on(kept)[1]) in server.first
        renewed = issue()
        put(tmp_path, renewed)
        server.wait_for(r"2 workers of generation 1 changed to the new certificate \S*cert\.pem, which expires in")
        assert seen_by_all_workers(server) == {der(renewed)}
        assert int(get_on(kept)[1]) in server.first, "connections that are open go on"
    (status,) = server.status()["certificates"]
    assert status["path"] == str(tmp_path / "cert.pem")
    assert status["names"] == ["localhost", "127.0.0.1"]
    expires = x509.load_der_x509_certificate(der(renewed)).not_valid_after_utc
    assert status["not_after"] == expires.timestamp()
    assert status["days_left"] == (expires - in_days(0)).days
    assert server.status()["listeners"][0]["tls"] is True
    assert f"https://127.0.0.1:{server.port}" in server.command("status").stdout


def test_files_that_are_renamed_over_the_old_ones_are_used(start, tmp_path):
    server = begin(start, tmp_path)
    renewed = issue()
    (tmp_path / "new").mkdir()
    put(tmp_path / "new", renewed)
    os.replace(tmp_path / "new" / "key.pem", tmp_path / "key.pem")
    os.replace(tmp_path / "new" / "cert.pem", tmp_path / "cert.pem")
    server.wait_for("changed to the new certificate")
    assert seen_by_all_workers(server) == {der(renewed)}


def test_the_link_that_kubernetes_turns_to_another_folder_is_followed(start, tmp_path):
    first, renewed = issue(), issue()
    for folder, issued in (("..1", first), ("..2", renewed)):
        (tmp_path / folder).mkdir()
        put(tmp_path / folder, issued)
    (tmp_path / "..data").symlink_to("..1")
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    server = start(
        *("-m", "gracehttp", "serve", "application:app", *OPTIONS, "--workers", 2),
        files={"application.py": PID_APPLICATION},
    )
    server.wait_until_serving()
    assert seen_by_all_workers(server) == {der(first)}
    (tmp_path / "..data_tmp").symlink_to("..2")
    os.replace(tmp_path / "..data_tmp", tmp_path / "..data")
    server.wait_for("changed to the new certificate")
    assert seen_by_all_workers(server) == {der(renewed)}


def test_a_pair_that_does_not_match_is_refused_in_one_line_and_the_old_one_goes_on(start, tmp_path):
    server = begin(start, tmp_path)
    renewed = issue()
    (tmp_path / "cert.pem").write_bytes(certificate_of(renewed))
    server.wait_for("the new certificate is refused: the private key .* does not belong to the certificate")
    assert seen_by_all_workers(server) == {der(server.issued)}
    (tmp_path / "key.pem").write_bytes(renewed.private_key_pem.bytes())
    server.wait_for("changed to the new certificate")
    assert seen_by_all_workers(server) == {der(renewed)}
    assert server.log.count("is refused") == 1


def test_an_expired_certificate_is_refused_and_the_old_one_goes_on(start, tmp_path):
    server = begin(start, tmp_path)
    put(tmp_path, issue(not_before=in_days(-9), not_after=in_days(-1)))
    server.wait_for(r"the new certificate is refused: the certificate \S+ has expired; generation 1 serves on")
    assert seen_by_all_workers(server) == {der(server.issued)}


@pytest.mark.parametrize("preload", [False, True])
def test_a_worker_that_dies_while_a_bad_pair_is_there_is_replaced_by_one_with_the_old_one(start, tmp_path, preload):
    server = begin(start, tmp_path, *(["--preload"] if preload else []))
    (tmp_path / "cert.pem").write_bytes(certificate_of(issue()))
    server.wait_for("the new certificate is refused")
    for number, pid in enumerate(server.first, 1):
        os.kill(pid, signal.SIGKILL)
        server.wait_for("is ready after", count=2 + number)
    assert seen_by_all_workers(server) == {der(server.issued)}
    put(tmp_path, renewed := issue())
    server.wait_for("2 workers of generation 1 changed to the new certificate")
    assert seen_by_all_workers(server) == {der(renewed)}
    assert server.log.count("is refused") == 1


def test_a_worker_that_dies_while_an_expired_certificate_is_there_is_replaced_after_a_change_of_supervisors(
    start, tmp_path
):
    server = begin(start, tmp_path, workers=1)
    put(tmp_path, issue(not_before=in_days(-9), not_after=in_days(-1)))
    server.wait_for("the new certificate is refused")
    server.send_signal(signal.SIGUSR2)
    (pid,) = server.wait_until_serving(2)
    server.wait_for(r"the certificate \S+cert\.pem .* has expired")
    put(tmp_path, renewed := issue())
    server.wait_for("of generation 2 changed to the new certificate")
    os.kill(pid, signal.SIGKILL)
    server.wait_for("is ready after", count=3)
    assert seen_by_all_workers(server, 1) == {der(renewed)}


def test_a_damaged_file_is_refused_and_a_file_that_is_only_touched_changes_nothing(start, tmp_path):
    server = begin(start, tmp_path, workers=1)
    (tmp_path / "cert.pem").write_text("-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n")
    server.wait_for(r"the new certificate is refused: \S*cert\.pem is damaged")
    put(tmp_path, server.issued)
    renewed = issue()
    wait_until(lambda: server.log.count("refused") >= 1)
    put(tmp_path, renewed)
    server.wait_for("changed to the new certificate")
    assert seen_by_all_workers(server, 1) == {der(renewed)}
    assert "Traceback" not in server.log


def test_that_a_certificate_is_near_its_end_is_told_once(start, tmp_path):
    put(tmp_path, issue(not_before=in_days(-80), not_after=in_days(5.5)))
    server = start(
        *("-m", "gracehttp", "serve", "application:app", *OPTIONS, "--workers", 2),
        files={"application.py": PID_APPLICATION},
    )
    server.wait_for(r"the certificate \S*cert\.pem \(localhost, 127\.0\.0\.1\) expires in 5 days")
    put(tmp_path, issue())
    server.wait_for("changed to the new certificate")
    assert server.log.count("expires in 5 days") == 1


@pytest.mark.parametrize("preload", [False, True])
def test_a_generation_after_a_restart_and_after_a_change_of_the_supervisor_watches_too(start, tmp_path, preload):
    server = begin(start, tmp_path, *(["--preload"] if preload else []))
    server.restart(2)
    put(tmp_path, renewed := issue())
    server.wait_for("of generation 2 changed to the new certificate")
    assert seen_by_all_workers(server) == {der(renewed)}
    server.send_signal(signal.SIGUSR2)
    server.wait_until_serving(3)
    put(tmp_path, once_more := issue())
    server.wait_for("of generation 3 changed to the new certificate")
    assert seen_by_all_workers(server) == {der(once_more)}


def test_changes_under_load_lose_no_request(start, tmp_path):
    server = begin(start, tmp_path, application=ECHO_APPLICATION)
    with Load(server.port, keep_alive=3, reconnecting=2, tls=client_context()) as load:
        for count in range(1, 4):
            put(tmp_path, issue())
            server.wait_for("changed to the new certificate", count=count)
        load.wait_for_answers_of(server.first)
    assert load.account.lost == []
    assert load.account.refused == 0
