"""--host and --port are another way to write --bind; $PORT is what a platform gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from gracehttp.config import load, server_options
from gracehttp.errors import ConfigurationError


def addresses(cli: dict[str, object] | None = None, env: dict[str, str] | None = None, file: Path | None = None):
    configuration = load(cli={"app": "main:app", **(cli or {})}, environ=env or {}, file=file)
    return [str(server.bind.address) for server in configuration.servers]


@pytest.mark.parametrize(
    ("cli", "env", "address"),
    [
        ({"port": "9000"}, {}, "127.0.0.1:9000"),
        ({"host": "0.0.0.0"}, {}, "0.0.0.0:8000"),
        ({"host": "::", "port": "80"}, {}, "[::]:80"),
        ({"host": "[::1]"}, {}, "[::1]:8000"),
        ({"host": "*", "port": "80"}, {}, ":80"),
        ({}, {"PORT": "5000"}, "0.0.0.0:5000"),
        ({"host": "127.0.0.1"}, {"PORT": "5000"}, "127.0.0.1:5000"),
        ({}, {"PORT": "5000", "GRACEHTTP_HOST": "10.0.0.1"}, "10.0.0.1:5000"),
        ({"port": "1"}, {"PORT": "5000", "GRACEHTTP_PORT": "2"}, "127.0.0.1:1"),
        ({"port": "1"}, {"GRACEHTTP_BIND": "unix:/x"}, "127.0.0.1:1"),
        ({"bind": ("unix:/x",)}, {"PORT": "5000"}, "unix:/x"),
        ({}, {"PORT": "5000", "GRACEHTTP_BIND": ":7"}, ":7"),
        ({}, {"PORT": ""}, "127.0.0.1:8000"),
        ({}, {"GRACEHTTP_PORT": "tcp://10.96.0.1:80"}, "127.0.0.1:8000"),
    ],
)
def test_the_first_place_that_says_where_to_listen_counts(cli, env, address) -> None:
    assert addresses(cli, env) == [address]


def test_a_file_stands_before_the_variables_of_a_platform(tmp_path: Path) -> None:
    file = tmp_path / "g.toml"
    file.write_text('bind = "unix:/run/x"\nworkers = 2\n')
    env = {"PORT": "5000", "WEB_CONCURRENCY": "9"}
    assert addresses(env=env, file=file) == ["unix:/run/x"]
    configuration = load(cli={"app": "a:b"}, environ=env, file=file)
    assert configuration.process.workers == 2
    file.write_text('host = "10.0.0.1"\n')
    assert addresses(env=env, file=file) == ["10.0.0.1:5000"]
    assert addresses({"port": "1"}, file=file) == ["10.0.0.1:1"]
    assert load(cli={"app": "a:b"}, environ=env, file=file).process.workers == 9


def test_a_file_of_several_servers_bears_the_variable_of_a_platform(tmp_path: Path) -> None:
    file = tmp_path / "g.toml"
    file.write_text('[[server]]\nbind = ":1"\n[[server]]\nbind = ":2"\n')
    assert addresses(env={"PORT": "5000"}, file=file) == [":1", ":2"]
    with pytest.raises(ConfigurationError, match=r"--port can't be given: the file has 2 servers"):
        addresses({"port": "9"}, file=file)


@pytest.mark.parametrize("name", ["host", "port"])
def test_two_ways_to_say_it_in_one_place_are_refused(name: str, tmp_path: Path) -> None:
    value = {"host": "::1", "port": "80"}[name]
    with pytest.raises(ConfigurationError, match=f"--bind and --{name} both say where to listen.") as caught:
        addresses({"bind": (":1",), name: value})
    assert caught.value.hint == "give --bind alone, or --host and --port"
    file = tmp_path / "g.toml"
    file.write_text(f'bind = ":1"\n{name} = "{value}"\n')
    with pytest.raises(ConfigurationError, match=f"bind and {name} both say where to listen"):
        addresses(file=file)


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("host", "localhost:80", "the port has an option of its own, --port"),
        ("host", "unix:/x", "--bind takes all forms of addresses"),
        ("port", "http", ""),
        ("port", "65536", ""),
    ],
)
def test_what_is_no_host_and_no_port_is_refused(name: str, value: str, hint: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} must be ") as caught:
        addresses({name: value})
    assert str(caught.value.hint) == hint


def test_a_script_may_say_it_so_too() -> None:
    (server,) = server_options("main:app", host="0.0.0.0", port=80)
    assert str(server.bind.address) == "0.0.0.0:80"
    with pytest.raises(ConfigurationError, match="both say where to listen"):
        server_options("main:app", bind=":1", port=80)


def test_tells_where_the_address_comes_from() -> None:
    configuration = load(cli={"app": "a:b", "host": "::1"}, environ={"PORT": "5"}, file=None)
    assert configuration.origins["servers.0.bind"] == "--host and PORT"
    assert configuration.origins["servers.0.port"] == "PORT"
