"""The commands of the servers, and which take part."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.installed import Installation
from benchmarks.peers import NGINX, PEERS, Contender, Needs, Work, contenders
from benchmarks.scenes.catalogue import SCENES, USUAL
from benchmarks.session import BenchmarkFailed

HERE = Installation("here", Path("/usr/bin/python3"))
EACH = [Contender(peer.name, peer, HERE) for peer in PEERS]


def named(name: str, interface: str) -> Contender:
    return next(one for one in EACH if (one.peer.name, one.peer.interface) == (name, interface))


@pytest.mark.parametrize("one", EACH, ids=lambda one: f"{one.name}-{one.peer.interface}")
def test_a_command_leaves_no_placeholder_but_the_port(one):
    command = one.command("module:app", Needs(workers=2, patient=True, large=True))
    assert command.replace("{port}", "").count("{") == 0
    assert "module:app" in command


@pytest.mark.parametrize("one", EACH, ids=lambda one: f"{one.name}-{one.peer.interface}")
def test_tls_names_chain_and_key(one):
    command = one.command("module:app", Needs(tls=True))
    assert "{chain}" in command
    assert "{key}" in command


def test_a_server_without_an_option_says_so():
    with pytest.raises(BenchmarkFailed, match="freastal has no option for an access log"):
        named("freastal", "asgi").command("module:app", Needs(access_log=True))


def test_without_needs_the_command_is_the_documented_one():
    assert named("uvicorn", "asgi").command("module:app", Needs()) == "uvicorn module:app --port {port} --no-access-log"


def test_a_server_takes_part_where_its_interface_is_served():
    django = Work(None, "django_app:app")
    assert named("gunicorn", "wsgi").takes_part(django, "wsgi", Needs())
    assert not named("gunicorn", "asgi").takes_part(django, "asgi", Needs())


def test_a_server_that_knows_no_restart_takes_no_part_in_one():
    work, needs = Work("module:app"), Needs(replaces_code=True)
    assert named("gunicorn", "asgi").takes_part(work, "asgi", needs)
    assert not named("freastal", "asgi").takes_part(work, "asgi", needs)


def test_without_threads_only_applications_that_never_wait_are_served():
    ours = named("gracehttp", "wsgi0")
    assert ours.takes_part(Work("a:b", "a:c", threadless=True), "wsgi0", Needs())
    assert not ours.takes_part(Work("a:b", "a:c"), "wsgi0", Needs())
    assert "--threads 0" in ours.command("a:c", Needs())


def test_nginx_takes_part_once_where_its_answer_is_known():
    nginx = Contender(NGINX, None, None)
    assert nginx.takes_part(Work("a:b", "a:c", "return 200;"), "asgi", Needs())
    assert not nginx.takes_part(Work("a:b", "a:c", "return 200;"), "wsgi", Needs())
    assert not nginx.takes_part(Work("a:b"), "asgi", Needs())


def test_several_of_ours_stand_first_each_under_its_name():
    found, _ = contenders([Installation("old", Path("a")), Installation("new", Path("b"))], [])
    assert [one.name for one in found] == ["old", "new"] * 3  # for each interface


def test_scenes_are_numbered_from_1_to_17_and_all_but_the_deploys_are_usual():
    assert sorted(SCENES) == list(range(1, 18))
    assert set(USUAL) == set(range(1, 17))


def test_an_installation_may_have_a_name_and_variables(tmp_path):
    python = tmp_path / "python"
    python.touch()
    found = Installation.parse(f"slow={python},GRACEHTTP_COMPILED=off")
    assert (found.name, found.python) == ("slow", python)
    assert found.environment()["GRACEHTTP_COMPILED"] == "off"


def test_a_path_that_is_nothing_is_refused(tmp_path):
    with pytest.raises(BenchmarkFailed, match="no interpreter"):
        Installation.parse(str(tmp_path))


def test_options_of_servers_do_not_reach_them_by_the_environment(monkeypatch):
    monkeypatch.setenv("UVICORN_HTTP", "h11")
    monkeypatch.setenv("WEB_CONCURRENCY", "9")
    assert not {"UVICORN_HTTP", "WEB_CONCURRENCY"} & HERE.environment().keys()
