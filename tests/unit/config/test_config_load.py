"""What wins when several places say something, and how the origin of each value is kept."""

from pathlib import Path

import pytest

from gracehttp.config import Configuration, load, mistyped_variables, reject_duplicates, server_options
from gracehttp.config.model import ServerOptions
from gracehttp.errors import ConfigurationError
from gracehttp.net.address import Bind, DescriptorAddress, TcpAddress, UnixAddress


def loaded(
    tmp_path: Path,
    *,
    cli: dict[str, object] | None = None,
    env: dict[str, str] | None = None,
    toml: str | None = None,
) -> Configuration:
    file = None
    if toml is not None:
        file = tmp_path / "gracehttp.toml"
        file.write_text(toml)
    return load(cli={"app": "main:app"} if cli is None else cli, environ=env or {}, file=file)


ALL = ({"workers": "4"}, {"GRACEHTTP_WORKERS": "3"}, "workers = 2")


@pytest.mark.parametrize(
    ("cli", "env", "toml", "workers", "origin"),
    [
        (ALL[0], ALL[1], ALL[2], 4, "--workers"),
        ({}, ALL[1], ALL[2], 3, "GRACEHTTP_WORKERS"),
        ({"workers": None}, {"GRACEHTTP_WORKERS": ""}, ALL[2], 2, "gracehttp.toml"),
        ({}, {}, "", 1, "default"),
    ],
)
def test_command_line_beats_environment_beats_file_beats_default(
    tmp_path: Path, cli: dict[str, object], env: dict[str, str], toml: str, workers: int, origin: str
) -> None:
    configuration = loaded(tmp_path, cli={"app": "main:app", **cli}, env=env, toml=toml)
    assert configuration.process.workers == workers
    assert Path(configuration.origins["workers"]).name == origin


def test_origins_cover_every_value(tmp_path: Path) -> None:
    configuration = loaded(tmp_path, toml="max_connections = 5")
    assert configuration.origins["servers.0.app"] == "APP"
    assert configuration.origins["servers.0.max_connections"].endswith("gracehttp.toml")
    assert configuration.origins["servers.0.bind"] == "default"


def test_missing_application_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no application was named") as caught:
        loaded(tmp_path, cli={})
    assert "main:app" in caught.value.hint


def test_environment_variable_holds_several_addresses(tmp_path: Path) -> None:
    configuration = loaded(tmp_path, env={"GRACEHTTP_BIND": ":1 unix:/x"})
    assert [str(server.bind.address) for server in configuration.servers] == [":1", "unix:/x"]


def test_unknown_option_of_the_command_line_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="'worker' is no option"):
        loaded(tmp_path, cli={"worker": "1"})


def test_variable_that_other_servers_know_too_stands_behind_ours(tmp_path: Path) -> None:
    environ = {"FORWARDED_ALLOW_IPS": "10.0.0.1"}
    configuration = load(cli={"app": "main:app"}, environ=environ, file=None)
    assert configuration.servers[0].forwarded_allow_ips == ("10.0.0.1",)
    assert configuration.origins["servers.0.forwarded_allow_ips"] == "FORWARDED_ALLOW_IPS"
    environ["GRACEHTTP_FORWARDED_ALLOW_IPS"] = "10.0.0.2"
    configuration = load(cli={"app": "main:app"}, environ=environ, file=None)
    assert configuration.servers[0].forwarded_allow_ips == ("10.0.0.2",)
    assert configuration.origins["servers.0.forwarded_allow_ips"] == "GRACEHTTP_FORWARDED_ALLOW_IPS"


def test_an_address_has_proxies_of_its_own() -> None:
    binds = (":1", ":2?proxy=on&forwarded_allow_ips=10.0.0.0/8,unix")
    plain, proxied = load(cli={"app": "main:app", "bind": binds}, environ={}, file=None).servers
    assert (plain.proxy, plain.forwarded_allow_ips) == (False, ("127.0.0.1", "::1", "unix"))
    assert (proxied.proxy, proxied.forwarded_allow_ips) == (True, ("10.0.0.0/8", "unix"))


def test_foreign_environment_variables_are_left_alone(tmp_path: Path) -> None:
    configuration = loaded(tmp_path, env={"GRACEHTTP_PORT": "tcp://10.0.0.1:80", "GRACEHTTP_WORKER_CHANNEL": "5"})
    assert configuration.process.workers == 1


def test_mistyped_environment_variable_is_recognised() -> None:
    environ = {"GRACEHTTP_WORKER": "2", "GRACEHTTP_PORT": "tcp://10.0.0.1:80", "GRACEHTTP_WORKER_CHANNEL": "5"}
    assert mistyped_variables(environ) == [("GRACEHTTP_WORKER", "GRACEHTTP_WORKERS")]


@pytest.mark.parametrize(
    ("name", "meant"),
    {
        "GRACEFUL_TIMEOUT": "GRACEHTTP_DRAIN_TIMEOUT",
        "TIMEOUT": "GRACEHTTP_HANG_TIMEOUT or GRACEHTTP_REQUEST_TIMEOUT",
        "RAW_ENV": "GRACEHTTP_ENV_FILE",
    }.items(),
)
def test_variable_for_an_option_of_another_server_names_ours(name: str, meant: str) -> None:
    assert mistyped_variables({f"GRACEHTTP_{name}": "1"}) == [(f"GRACEHTTP_{name}", meant)]


def test_variable_for_an_option_without_an_equivalent_is_left_alone() -> None:
    assert mistyped_variables({"GRACEHTTP_DAEMON": "1"}) == []


# --- the file ---


def test_tables_describe_servers_and_the_top_level_is_their_default(tmp_path: Path) -> None:
    configuration = loaded(
        tmp_path,
        cli={},
        toml="""
        app = "main:app"
        max_connections = 500
        [[server]]
        bind = ":1"
        [[server]]
        app = "admin:app"
        bind = [":2", ":3"]
        max_connections = 5
        """,
    )
    assert [(server.app, str(server.bind.address), server.max_connections) for server in configuration.servers] == [
        ("main:app", ":1", 500),
        ("admin:app", ":2", 5),
        ("admin:app", ":3", 5),
    ]
    assert configuration.origins["servers.2.max_connections"].endswith("gracehttp.toml, server 2")


def test_paths_of_the_file_are_relative_to_its_folder(tmp_path: Path) -> None:
    configuration = loaded(
        tmp_path,
        toml='bind = ["unix:run/app.sock", "https://:1?certfile=b.pem"]\npidfile = "x.pid"\napp_dir = "."\n'
        'control = "/run/c.sock"',
    )
    assert configuration.process.pidfile == str(tmp_path / "x.pid")
    assert configuration.process.app_dir == str(tmp_path)
    assert configuration.process.control == "/run/c.sock"
    assert configuration.servers[0].bind.address == UnixAddress(str(tmp_path / "run/app.sock"))
    assert configuration.servers[1].certfile == (str(tmp_path / "b.pem"),)


def test_paths_of_the_command_line_stay_relative_to_the_working_directory(tmp_path: Path) -> None:
    configuration = loaded(tmp_path, cli={"app": "main:app", "bind": ("unix:a.sock",), "pidfile": "x.pid"}, toml="")
    assert configuration.process.pidfile == "x.pid"
    assert configuration.servers[0].bind.address == UnixAddress("a.sock")


@pytest.mark.parametrize(
    ("toml", "message", "hint"),
    [
        ("workerz = 2", "'workerz' is no option", "did you mean workers?"),
        ("[[server]]\nmax_conections = 2", "'max_conections' is no option", "did you mean max_connections?"),
        ("[[server]]\nworkers = 2", "workers is an option of the whole program", "top level"),
        ("[server]\nbind = ':1'", "not an array of tables", "[[server]]"),
        ("server = 5", "not an array of tables", "[[server]]"),
        ("[[servers]]\nbind = ':1'", "'servers' is no table", "did you mean [[server]]?"),
        ("[listener]\nbind = ':1'", "'listener' is no table", "did you mean [[server]]?"),
        ("[tool.x]\ny = 1", "'tool' is no table", "the tables are [[server]], one for each server, and [hooks]"),
        ("[hook]\nx = 'a:b'", "'hook' is no table", "did you mean [hooks]?"),
        ("graceful_timeout = 2", "'graceful_timeout' is no option", "here: drain_timeout"),
        ("keepalive = 2", "'keepalive' is no option", "here: keep_alive_timeout"),
        ("worker_class = 'sync'", "'worker_class' is no option", "here: leave it out"),
        ("wsgi_app = 'a:b'", "'wsgi_app' is no option", "here: app"),
        ("errorlog = '-'", "'errorlog' is no option", "here: log_file"),
        ("limit_concurrency = 2", "'limit_concurrency' is no option", "here: max_connections"),
        ("raw_env = ['A=b']", "'raw_env' is no option", "name that file by env_file"),
        ("reuse_port = true", "'reuse_port' is no option", "it is not needed"),
        ("http = 'h11'", "'http' is no option", "an option of uvicorn; here: leave it out"),
        ("uds = '/x'", "'uds' is no option", 'here: bind = "unix:PATH"'),
        (
            "timeout = 9",
            "'timeout' is no option",
            "hang_timeout for a worker that hangs, request_timeout",
        ),
        ("[[server]]\nssl_certificate = 'x'", "'ssl_certificate' is no option", "granian; here: certfile"),
        ("workers = ", "is not valid TOML", "toml.io"),
        ("workers = 1\nworkers = 2", "is not valid TOML", "toml.io"),
        ("app = main:app", "is not valid TOML", 'a text stands in quotes: app = "main:app"'),
        ("\nbind = 127.0.0.1:8000  # here", "is not valid TOML", 'a text stands in quotes: bind = "127.0.0.1:8000"'),
        ("reload = True", "is not valid TOML", "write reload = true, in lower case"),
        ("[tool.gracehttp]\nworkers = 2", "'tool' is no table", "pyproject.toml isn't for this"),
        ("workers = 'x'", "workers must be a whole number", ""),
        ("bind = []", "bind is empty", "leave it away"),
        ("[[server]]\nbind = ':1'\n[[server]]\nbind = ':1'", "two servers have the same address, :1", "of its own"),
        ("bind = 8000", "bind must be an address", 'write "127.0.0.1:8000" for this machine only'),
    ],
)
def test_mistake_in_the_file_is_told(tmp_path: Path, toml: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, toml=toml)
    assert message in caught.value.message
    assert "gracehttp.toml" in caught.value.message or "same address" in caught.value.message
    assert hint in caught.value.hint


def test_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read the configuration file .*No such file"):
        load(cli={}, environ={}, file=tmp_path / "nothing.toml")


def test_missing_file_names_those_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "gracehttp.toml").write_text("workers = 1")
    (tmp_path / "pyproject.toml").write_text("[project]")
    with pytest.raises(ConfigurationError) as caught:
        load(cli={}, environ={}, file=tmp_path / "grace.toml")
    assert caught.value.hint == f"there is {tmp_path}/gracehttp.toml"


def test_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="is not valid TOML"):
        load(cli={}, environ={}, file=file)


@pytest.mark.parametrize(
    ("cli", "env", "name"), [({"bind": (":9",)}, {}, "--bind"), ({}, {"GRACEHTTP_APP": "a:b"}, "GRACEHTTP_APP")]
)
def test_address_or_application_from_outside_is_refused_for_several_servers(
    tmp_path: Path, cli: dict[str, object], env: dict[str, str], name: str
) -> None:
    toml = "[[server]]\nbind = ':1'\napp = 'main:app'\n[[server]]\nbind = ':2'"
    with pytest.raises(ConfigurationError, match=f"{name} can't be given: the file has 2 servers"):
        loaded(tmp_path, cli=cli, env=env, toml=toml)


def test_application_from_the_command_line_is_that_of_all_servers_that_have_none(tmp_path: Path) -> None:
    configuration = loaded(tmp_path, toml="[[server]]\nbind = ':1'\n[[server]]\nbind = ':2'")
    assert [server.app for server in configuration.servers] == ["main:app", "main:app"]


def test_address_from_the_command_line_replaces_that_of_a_single_server(tmp_path: Path) -> None:
    configuration = loaded(tmp_path, cli={"bind": (":9",)}, toml="[[server]]\napp = 'main:app'\nbind = ':1'")
    assert [str(server.bind.address) for server in configuration.servers] == [":9"]


# --- addresses and their queries ---


def test_query_overrides_the_options_of_its_server_only() -> None:
    first, second = server_options("main:app", bind=[":1?max_connections=5&body_timeout=2s", ":2"], max_connections=7)
    assert (first.max_connections, first.body_timeout) == (5, 2.0)
    assert (second.max_connections, second.body_timeout) == (7, 30.0)
    assert first.bind.settings == ()


@pytest.mark.parametrize(
    ("bind", "message"),
    [
        (":1?max_conections=5", "'max_conections' is no option"),
        (":1?workers=5", "workers is an option of the whole program"),
        (":1?bind=:2", "bind can't stand in the query of :1"),
        (":1?backlog=5&backlog=6", "the query of :1 gives a setting twice"),
        (":1?backlog=x", "backlog must be a whole number from 1 to 65535, not 'x' (from the query of :1)"),
        ("https://:1", ":1 is to speak TLS, and has no certificate"),
        ("http://:1?certfile=a.pem", "http://:1 is plain, and has a certificate"),
        (":1?keyfile=a.pem", "keyfile without certfile"),
        ("https://:1?certfile=", ":1 is to speak TLS, and has no certificate"),
        ("nowhere", "no address to listen on"),
    ],
)
def test_mistake_in_an_address_is_told(bind: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        server_options("main:app", bind=bind)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("bind", "tls"),
    [
        ("127.0.0.1:9443", True),
        ("https://:9443", True),
        ("HTTP://127.0.0.1:80", False),
        ("http://127.0.0.1:80", False),
        ("fd://3", True),
        ("unix:/run/a.sock", True),
        ("unix:/run/a.sock?certfile=", False),
    ],
)
def test_certificate_makes_an_address_tls_unless_it_says_plain(bind: str, tls: bool) -> None:
    (server,) = server_options("main:app", bind=bind, certfile="a.pem", keyfile="a.key")
    assert server.tls is tls
    assert (server.certfile, server.keyfile) == ((("a.pem",), ("a.key",)) if tls else ((), ()))


def test_key_is_in_the_certificate_file_by_default() -> None:
    (server,) = server_options("main:app", bind="https://:1", certfile="a.pem")
    assert server.keyfile == ("a.pem",)


def test_http_and_https_stand_side_by_side() -> None:
    plain, secure = server_options("main:app", bind=["http://:1", "https://:2?certfile=a.pem"])
    assert (plain.tls, secure.tls) == (False, True)


def test_same_address_twice_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"two servers have the same address, 127\.0\.0\.1:0"):
        server_options("main:app", bind=["127.0.0.1:0", "http://127.0.0.1:0"])


def test_same_descriptor_in_two_servers_is_an_error() -> None:
    server = ServerOptions(app="main:app", bind=Bind(DescriptorAddress(3), tls=False))
    with pytest.raises(ConfigurationError, match="fd://3"):
        reject_duplicates([server, server])


def test_certificate_for_a_plain_server_can_not_be_constructed() -> None:
    with pytest.raises(ConfigurationError, match="plain HTTP"):
        ServerOptions(app="main:app", bind=Bind(TcpAddress("", 1), tls=False), certfile="a.pem")


@pytest.mark.parametrize(
    ("written", "host", "port"),
    [
        (":8000", "", 8000),
        ("*:8000", "", 8000),
        (" :8000 ", "", 8000),
        ("http://localhost", "localhost", 80),
        ("[::1]:5", "::1", 5),
    ],
)
def test_address_is_read(written: str, host: str, port: int) -> None:
    (server,) = server_options("main:app", bind=[written])
    assert server.bind.address == TcpAddress(host, port)


def test_mode_of_unix_sockets_may_stand_beside_other_addresses() -> None:
    servers = server_options("main:app", bind=[":1", "unix:x"], unix_mode="660")
    assert [one.unix_mode for one in servers] == [0o660, 0o660]


def test_number_as_the_pidfile_is_taken_for_a_port(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, cli={"app": "main:app", "pidfile": "9000"}, toml="")
    assert caught.value.hint == "-p is the pidfile; the port is --bind :9000, and a file ./9000"


def test_variable_that_resembles_an_option_is_remembered_where_it_is_asked_for() -> None:
    environ = {"GRACEHTTP_WORKRES": "2", "GRACEHTTP_APP": "main:app"}
    assert load(cli={}, environ=environ, file=None).mistyped == (("GRACEHTTP_WORKRES", "GRACEHTTP_WORKERS"),)
    assert load(cli={}, environ=environ, file=None, find_mistyped=False).mistyped == ()


@pytest.mark.parametrize(
    ("toml", "message", "hint"),
    [
        ("bind = '8000'", "'8000' is a port without a host", "write :8000 to listen on all addresses"),
        ("probation_max_errors = '5%'", "probation_max_errors has no effect without probation", "give probation too"),
        ("max_requests_jitter = 5", "max_requests_jitter has no effect without max_requests", "give max_requests too"),
        ("unix_mode = '660'", "has no effect: 127.0.0.1:8000 is no Unix socket", "unix:/PATH"),
        ("bind = ['unix:x', ':1?unix_mode=600']", "unix_mode (from the query of :1) has no effect", "unix:/PATH"),
    ],
)
def test_value_that_would_have_no_effect_or_two_meanings_is_refused(
    tmp_path: Path, toml: str, message: str, hint: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, toml=toml)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_certificates_of_a_file_are_a_list_and_names_of_other_servers_are_understood(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text(
        'app = "main:app"\nbind = "https://:1"\nssl_certfile = ["a.pem", "b.pem"]\nkeyfile = ["a.key", "/b.key"]\n'
    )
    (server,) = load(cli={}, environ={}, file=path).servers
    assert server.certfile == (str(tmp_path / "a.pem"), str(tmp_path / "b.pem"))
    assert server.keyfile == (str(tmp_path / "a.key"), "/b.key")


def test_a_variable_has_one_path_a_line():
    environ = {"GRACEHTTP_CERTFILE": "/with a space/a.pem\n/b.pem\n"}
    (server,) = load(cli={"app": "main:app"}, environ=environ, file=None).servers
    assert server.certfile == ("/with a space/a.pem", "/b.pem")


@pytest.mark.parametrize("table", [False, True])
def test_a_hint_at_a_value_of_the_file_is_written_as_a_file(tmp_path: Path, table: bool) -> None:
    (tmp_path / "g.toml").write_text(
        'app = "a:b"\n[[server]]\ninterface = "asgi3"\n' if table else 'app = "a:b"\nlog_level = "warn"\n'
    )
    with pytest.raises(ConfigurationError) as refused:
        load(cli={}, environ={}, file=tmp_path / "g.toml")
    assert str(refused.value.hint).startswith('write interface = "asgi"' if table else 'write log_level = "warning"')


def test_a_truth_value_of_a_file_is_shown_as_it_stands_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not true") as caught:
        loaded(tmp_path, toml="h2 = true")
    assert caught.value.hint == 'write "on"'
