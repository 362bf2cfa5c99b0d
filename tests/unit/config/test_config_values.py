"""Each option reads what people write, and says what it should have been."""

from pathlib import Path
from typing import Any

import pytest

from gracehttp.config import OPTIONS, PROCESS_OPTIONS, SERVER_OPTIONS, process_options, server_options
from gracehttp.config.model import GROUPS, ProcessOptions, ServerOptions
from gracehttp.errors import ConfigurationError
from gracehttp.net.address import Bind, TcpAddress


def a_server(**values: Any) -> tuple[ServerOptions, ...]:
    """The options of a server of which all but `values` is right."""
    return server_options(**{"app": "main:app", "bind": ":1", **values})


def application() -> None:
    """Stands for an application object."""


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("workers", "4", 4),
        ("workers", 4, 4),
        ("loop", "UVLOOP", "uvloop"),
        ("ready_timeout", "1m30s", 90.0),
        ("ready_timeout", 5, 5.0),
        ("drain_timeout", 0, 0.0),
        ("probation_max_errors", "5%", 0.05),
        ("probation_max_errors", "0%", 0.0),
        ("probation_max_errors", 0.5, 0.5),
        ("probation_max_errors", "", None),
        ("access_log", "yes", True),
        ("access_log", "0", False),
        ("access_log", True, True),
        ("warmup", "/a /b?c=d", ("/a", "/b?c=d")),
        ("warmup", ["/a"], ("/a",)),
        ("pidfile", Path("x.pid"), "x.pid"),
        ("pidfile", "", None),
        ("pidfile", None, None),
        ("log_level", "notice", "notice"),
    ],
)
def test_program_option_reads(name: str, written: object, value: object) -> None:
    needed = {"probation": "1s"} if name == "probation_max_errors" else {}
    assert getattr(process_options(**{name: written}, **needed), name) == value


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("unix_mode", "660", 0o660),
        ("unix_mode", "0o600", 0o600),
        ("unix_mode", 0o640, 0o640),
        ("unix_mode", "", None),
        ("max_connections", "100_000", 100_000),
        ("max_header_size", "16k", 16384),
        ("max_body_size", "10M", 10 << 20),
        ("max_body_size", 0, 0),
        ("keep_alive_timeout", "500ms", 0.5),
        ("factory", "true", True),
        ("interface", "WSGI", "wsgi"),
        ("forwarded_allow_ips", "10.0.0.0/8, ::1,unix", ("10.0.0.0/8", "::1", "unix")),
        ("forwarded_allow_ips", ["10.0.0.1", "*"], ("10.0.0.1", "*")),
        ("forwarded_allow_ips", "none", ()),
        ("forwarded_fields", "X-Forwarded-For,x-forwarded-host", ("x-forwarded-for", "x-forwarded-host")),
        ("forwarded_fields", ["Forwarded"], ("forwarded",)),
        ("forwarded_fields", "", ()),
        ("proxy", "on", True),
        ("root_path", "/api/", "/api"),
        ("root_path", "/", ""),
        ("root_path", "/ä b", "/ä b"),
        ("header", "X-A: b c\nx-d:e\n", ("X-A: b c", "x-d:e")),
        ("header", ("X-A:", "Server: me"), ("X-A:", "Server: me")),
    ],
)
def test_server_option_reads(name: str, written: object, value: object) -> None:
    (server,) = server_options("main:app", bind="unix:x", **{name: written})
    assert getattr(server, name) == value


@pytest.mark.parametrize(
    ("name", "written", "should_be"),
    [
        ("workers", "two", "a whole number from 1 to 1024"),
        ("workers", 0, "a whole number from 1 to 1024"),
        ("workers", True, "a whole number"),
        ("workers", 1.5, "a whole number"),
        ("workers", [1], "a whole number"),
        ("probation_max_errors", "5", "a share from 0% to 100%"),
        ("probation_max_errors", 5, "a share from 0% to 100%"),
        ("probation_max_errors", "101%", "a share from 0% to 100%"),
        ("probation_max_errors", "many%", "a share from 0% to 100%"),
        ("loop", "gevent", "one of auto, uvloop, asyncio"),
        ("loop", 1, "one of auto"),
        ("ready_timeout", "soon", "a duration such as 500ms"),
        ("ready_timeout", 0, "above 0s"),
        ("ready_timeout", float("nan"), "a duration"),
        ("ready_timeout", float("inf"), "to a year"),
        ("ready_timeout", True, "a duration"),
        ("drain_timeout", -1, "0s to a year"),
        ("access_log", "maybe", "true or false"),
        ("access_log", 1, "true or false"),
        ("warmup", "health", "begins with /"),
        ("warmup", ["/a b"], "begins with /"),
        ("warmup", 5, "begins with /"),
        ("pidfile", 5, "a path"),
        ("pidfile", "a\0b", "a path"),
        ("pidfile", "9000", "the path of a file"),
        ("unix_mode", "999", "permission bits"),
        ("unix_mode", 660, "permission bits"),
        ("max_header_size", "1", "at least 256"),
        ("max_header_size", True, "a size"),
        ("max_body_size", "lots", "a size such as"),
        ("max_body_size", -1, "a size such as"),
        ("keyfile_password", 5, "text"),
        ("app", "", "an application"),
        ("app", 5, "an application"),
        ("bind", 8000, "an address"),
        ("forwarded_allow_ips", "localhost", "addresses, networks"),
        ("forwarded_allow_ips", "10.0.0.1/8", "addresses, networks"),
        ("forwarded_allow_ips", ["10.0.0.1", 5], "addresses, networks"),
        ("forwarded_fields", "x-real-ip", "some of x-forwarded-for"),
        ("forwarded_fields", "forwarded,x-forwarded-for", "or forwarded alone"),
        ("forwarded_hops", 33, "a whole number from 0 to 32"),
        ("root_path", "api", "a path that begins with /"),
        ("root_path", "/a?b", "a path that begins with /"),
        ("root_path", "//a", "a path that begins with /"),
        ("root_path", "/a/../b", "a path that begins with /"),
        ("root_path", "/%20", "percent-decoded"),
        ("header", "X-A", "a field such as X-Name: value"),
        ("header", ["X A: b"], "a field such as X-Name: value"),
        ("header", ["X-A: b\r\nX-B: c"], "a field such as X-Name: value"),
        ("header", ["X-A: \u20ac"], "a field such as X-Name: value"),
        ("header", "Content-Length: 5", "a field that isn't the server's own"),
        ("header", "date: now", "a field that isn't the server's own"),
    ],
)
def test_wrong_value_is_told_with_what_it_should_be(name: str, written: object, should_be: str) -> None:
    read = process_options if name in PROCESS_OPTIONS else a_server
    with pytest.raises(ConfigurationError) as caught:
        read(**{name: written})
    assert caught.value.message.startswith(f"{name} must be ")
    assert should_be in caught.value.message
    assert f"from the argument {name}" in caught.value.message


@pytest.mark.parametrize(("written", "hint"), [(True, 'write "on"'), ("No", 'write "off"'), ("perhaps", "")])
def test_a_truth_value_for_an_option_that_is_on_or_off_gets_a_hint(written: object, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        a_server(h2=written)
    assert caught.value.hint == hint


def test_an_address_in_place_of_a_network_gets_both_ways_to_write_it() -> None:
    with pytest.raises(ConfigurationError) as caught:
        a_server(forwarded_allow_ips="unix,10.0.0.1/8")
    assert caught.value.hint.endswith("write 10.0.0.0/8 for the network, or 10.0.0.1 for that address alone")


def test_wrong_values_of_an_option_that_can_be_repeated_are_shown_as_they_were_written() -> None:
    with pytest.raises(ConfigurationError, match="not '/a', 'health' "):
        process_options(warmup=("/a", "health"))


def test_traceback_of_a_wrong_value_is_one_and_ends_with_the_sentence() -> None:
    with pytest.raises(ConfigurationError) as caught:
        process_options(workers="many")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_wrong_password_is_not_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        server_options("main:app", bind=":1", keyfile_password=12345)
    assert "12345" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("worker", "did you mean workers?"),
        ("log-level", "did you mean log_level?"),
        ("zzzz", "gracehttp serve --help and docs/options.md list the options"),
        ("bogus", "gracehttp serve --help and docs/options.md list the options"),
    ],
)
def test_unknown_keyword_names_the_nearest_one(key: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        process_options(**{key: 1})
    assert repr(key) in caught.value.message
    assert hint in caught.value.hint


def test_timeout_of_another_server_is_recognised() -> None:
    with pytest.raises(ConfigurationError) as caught:
        server_options("main:app", bind=":1", timeout_keep_alive=5)
    assert caught.value.hint == "timeout_keep_alive is an option of uvicorn; here: keep_alive_timeout"


def test_option_of_a_server_is_refused_for_the_program() -> None:
    with pytest.raises(ConfigurationError, match="max_connections is an option of a server"):
        process_options(max_connections=5)


def test_option_of_the_program_is_refused_for_a_server() -> None:
    with pytest.raises(ConfigurationError, match="workers is an option of the whole program"):
        server_options("main:app", bind=":1", workers=5)


def test_control_path_and_no_control_exclude_each_other() -> None:
    with pytest.raises(ConfigurationError, match="no_control"):
        process_options(control="x.sock", no_control=True)


def test_application_object_is_kept_as_it_is() -> None:
    (server,) = server_options(application, bind=":1")
    assert server.app is application


def test_each_default_is_a_value_that_its_own_kind_reads() -> None:
    for option in OPTIONS.values():
        if not option.required and option.name != "bind" and option.default is not None:
            assert option.kind.parse(option.default) == option.default, option.name


def test_each_option_belongs_to_a_known_group() -> None:
    assert {option.group for option in OPTIONS.values()} == set(GROUPS)


def test_names_and_short_flags_are_unique() -> None:
    assert not set(PROCESS_OPTIONS) & set(SERVER_OPTIONS)
    shorts = [option.short for option in OPTIONS.values() if option.short]
    assert len(shorts) == len(set(shorts))


def test_defaults_are_those_of_the_design() -> None:
    options = ProcessOptions()
    (server,) = server_options("main:app", bind="127.0.0.1:8000")
    assert (options.workers, options.ready_timeout, options.drain_timeout) == (1, 60.0, 30.0)
    assert server == ServerOptions(app="main:app")
    assert (server.max_connections, server.backlog, server.max_header_size) == (100_000, 2048, 65536)
    assert server.bind == Bind(TcpAddress("127.0.0.1", 8000), tls=False)
