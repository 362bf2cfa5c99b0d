"""`gracehttp migrate`, with configurations of the kind that public repositories have, and hints at foreign options."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
import tomllib

import click
import pytest
from click.testing import CliRunner
from deadlines import DEADLINE_SECONDS

import gracehttp
import gracehttp.events
from gracehttp.cli.migrate import plan_for
from gracehttp.cli.migrating import config_files
from gracehttp.cli.migrating.servers import SERVERS
from gracehttp.cli.migrating.writing import as_command, as_toml
from gracehttp.cli.program import program
from gracehttp.cli.serve import serve
from gracehttp.config import OPTIONS, load
from gracehttp.config.env_file import completed
from gracehttp.config.near_names import foreign_flag
from gracehttp.errors import ConfigurationError

GUNICORN = {
    "the least": ("", {"interface": "wsgi", "threads": 1}, []),
    "Django in Docker": (
        'bind = "0.0.0.0:8000"\nworkers = 3\ntimeout = 120\naccesslog = "-"\nerrorlog = "-"\nloglevel = "info"\n',
        {
            "bind": "0.0.0.0:8000",
            "workers": 3,
            "hang_timeout": 120,
            "threads": 1,
            "access_log": True,
            "access_log_file": "-",
            "access_log_format": "combined",
        },
        ["one long request is enough for that"],
    ),
    "the formula for workers": (
        "import multiprocessing\nworkers = multiprocessing.cpu_count() * 0 + 5\nbind = ':8000'\nkeepalive = 5\n",
        {"workers": 5, "bind": ":8000", "keep_alive_timeout": 5},
        [],
    ),
    "workers from the environment": (
        "import os\nworkers = int(os.environ.get('NO_SUCH_VARIABLE', 2))\nthreads = 4\nworker_class = 'gthread'\n",
        {"workers": 2, "threads": 4, "interface": "wsgi"},
        [],
    ),
    "FastAPI by uvicorn's worker": (
        'wsgi_app = "app.main:app"\nworker_class = "uvicorn.workers.UvicornWorker"\nworkers = 4\n'
        "bind = ['0.0.0.0:80']\ngraceful_timeout = 60\nmax_requests = 1000\nmax_requests_jitter = 50\n",
        {
            "app": "app.main:app",
            "interface": "asgi",
            "workers": 4,
            "bind": "0.0.0.0:80",
            "drain_timeout": 60,
            "max_requests": 1000,
            "max_requests_jitter": 50,
        },
        [],
    ),
    "a Unix socket behind nginx": (
        'bind = "unix:/run/gunicorn.sock"\numask = 0o007\nuser = "www-data"\ngroup = "www-data"\ninitgroups = True\n'
        'pidfile = "/run/gunicorn.pid"\nproc_name = "shop"\n',
        {
            "bind": "unix:/run/gunicorn.sock",
            "umask": "007",
            "user": "www-data",
            "group": "www-data",
            "pidfile": "/run/gunicorn.pid",
            "proc_name": "shop",
        },
        ["workers always have the groups of their user"],
    ),
    "hooks": (
        "def on_starting(server): ...\ndef when_ready(server): ...\ndef post_fork(server, worker): ...\n"
        "def worker_int(worker): ...\ndef child_exit(server, worker): ...\npreload_app = True\n",
        {"preload": True},
        [
            "on_starting = a function: the supervisor runs no code",
            "post_fork = a function: worker_forked",
            "generation_promoted",
            "worker_exited",
            "--startup",
        ],
    ),
    "gevent": (
        'worker_class = "gevent"\nworker_connections = 1000\nworkers = 2\n',
        {"interface": "wsgi", "threads": 32, "workers": 2},
        ["instead of greenlets", "max_connections counts"],
    ),
    "eventlet by class": (
        "class EventletWorker: ...\nworker_class = EventletWorker\n",
        {"threads": 32},
        ["instead of greenlets"],
    ),
    "TLS": (
        'certfile = "/etc/ssl/a.pem"\nkeyfile = "/etc/ssl/a.key"\nca_certs = "/etc/ssl/ca.pem"\ncert_reqs = 2\n'
        'ciphers = "ECDHE+AESGCM"\nssl_version = "TLSv1_2"\nbind = "0.0.0.0:443"\n',
        {
            "certfile": "/etc/ssl/a.pem",
            "keyfile": "/etc/ssl/a.key",
            "ssl_ca": "/etc/ssl/ca.pem",
            "ssl_verify": "required",
            "ssl_ciphers": "ECDHE+AESGCM",
        },
        ["TLS 1.2 and 1.3 are spoken"],
    ),
    "logs in files": (
        'accesslog = "/var/log/access.log"\nerrorlog = "/var/log/error.log"\naccess_log_format = "%(h)s %(s)s"\n'
        'capture_output = True\nlogconfig_dict = {"version": 1}\nlogger_class = "app.Logger"\n',
        {"access_log": True, "access_log_file": "/var/log/access.log", "log_file": "/var/log/error.log"},
        ["dictConfig", "logger_class"],
    ),
    "daemon": (
        'daemon = True\nchdir = "/srv/app"\npythonpath = "/srv/app,/srv/lib"\nraw_env = ["A=1", "B=2"]\n'
        'worker_tmp_dir = "/dev/shm"\nreuse_port = True\n',
        {"chdir": "/srv/app", "app_dir": "/srv/app"},
        ["systemd", "raw_env A", "raw_env B", "PYTHONPATH", "worker_tmp_dir", "reuse_port"],
    ),
    "behind a load balancer": (
        'forwarded_allow_ips = "*"\nproxy_protocol = True\nproxy_allow_ips = "10.0.0.1"\n'
        'secure_scheme_headers = {"X-FORWARDED-PROTOCOL": "ssl"}\nkeepalive = 75\n',
        {"forwarded_allow_ips": "*", "proxy": True, "keep_alive_timeout": 75},
        ["have the proxy set that one", "forwarded_allow_ips"],
    ),
    "statsd, syslog, limits": (
        'statsd_host = "localhost:8125"\nsyslog = True\nlimit_request_line = 8190\nlimit_request_field_size = 0\n'
        'timeout = 0\nbacklog = 64\nloglevel = "warning"\nreload = True\nspew = False\n',
        {"backlog": 64, "log_level": "warning", "reload": True},
        ["Prometheus", "max_header_size"],
    ),
}

COMMANDS = {
    "uvicorn: a container": (
        "uvicorn app.main:app --host 0.0.0.0 --port 80",
        {"app": "app.main:app", "host": "0.0.0.0", "port": 80, "access_log": True},
        ["keep_alive_timeout", "drain_timeout"],
    ),
    "uvicorn: as a module": (
        "python -m uvicorn main:app --workers 4 --no-access-log",
        {"workers": 4, "access_log": False},
        [],
    ),
    "uvicorn: behind a proxy": (
        "/srv/venv/bin/uvicorn main:app --proxy-headers --forwarded-allow-ips=* --root-path /api --no-server-header",
        {"proxy_headers": True, "forwarded_allow_ips": "*", "root_path": "/api", "server_header": False},
        [],
    ),
    "uvicorn: development": (
        "uvicorn main:create_app --factory --reload --reload-dir src --reload-include *.html --log-level trace",
        {"factory": True, "reload": True, "reload_dir": ["src"], "log_level": "debug"},
        [],
    ),
    "uvicorn: TLS": (
        "uvicorn main:app --ssl-keyfile k.pem --ssl-certfile c.pem --ssl-ca-certs ca.pem --ssl-cert-reqs 2",
        {"keyfile": "k.pem", "certfile": "c.pem", "ssl_ca": "ca.pem", "ssl_verify": "required"},
        [],
    ),
    "uvicorn: limits": (
        "uvicorn main:app --limit-concurrency 100 --limit-max-requests 5000 --timeout-keep-alive 30 "
        "--timeout-graceful-shutdown 10 --backlog 128",
        {"max_connections": 100, "max_requests": 5000, "keep_alive_timeout": 30, "drain_timeout": 10, "backlog": 128},
        ["instead of getting a 503"],
    ),
    "uvicorn: WebSockets": (
        "uvicorn main:app --ws websockets --ws-max-size 1048576 --ws-ping-interval 30 --ws-ping-timeout 30 "
        "--ws-per-message-deflate true --http h11 --loop uvloop --lifespan on",
        {"ws_max_size": 1048576, "ws_ping_interval": 30, "ws_deflate": "on", "loop": "uvloop", "lifespan": "on"},
        ["nothing to choose"],
    ),
    "uvicorn: a socket, and fields": (
        "uvicorn main:app --uds /run/app.sock --header X-A:1 --header X-B:2 --env-file .env --app-dir src",
        {"bind": "unix:/run/app.sock", "header": ["X-A:1", "X-B:2"], "env_file": ".env", "app_dir": "src"},
        [],
    ),
    "uvicorn: systemd, WSGI": (
        "exec uvicorn wsgi:app --fd 3 --interface wsgi --use-colors",
        {"bind": "fd://3", "interface": "wsgi"},
        ["NO_COLOR"],
    ),
    "gunicorn: Django": (
        "gunicorn mysite.wsgi:application --bind 0.0.0.0:8000 --workers 3 --log-level=debug",
        {"app": "mysite.wsgi:application", "bind": "0.0.0.0:8000", "workers": 3, "log_level": "debug", "threads": 1},
        ["SIGUSR1 reopens logs in gunicorn, and RESTARTS here"],
    ),
    "gunicorn: Flask on Heroku": (
        "gunicorn -w 2 -t 60 --threads 4 -b :5000 --access-logfile - 'app:create_app()'",
        {
            "app": "app:create_app()",
            "workers": 2,
            "threads": 4,
            "bind": ":5000",
            "access_log": True,
            "interface": "wsgi",
        },
        [],
    ),
    "gunicorn: FastAPI": (
        "gunicorn main:app -k uvicorn.workers.UvicornWorker -w4 -b unix:/run/a.sock -m 007 --preload",
        {"interface": "asgi", "workers": 4, "bind": "unix:/run/a.sock", "umask": "007", "preload": True},
        [],
    ),
    "gunicorn: a daemon": (
        "gunicorn app:app -D -p /run/a.pid -u www-data -g www-data -n shop --chdir /srv --max-requests 500 -e A=1",
        {"pidfile": "/run/a.pid", "user": "www-data", "group": "www-data", "proc_name": "shop", "chdir": "/srv"},
        ["nohup", "raw_env A"],
    ),
    "granian: ASGI": (
        "granian --interface asgi --host 0.0.0.0 --port 8080 --workers 4 --access-log main:app",
        {"app": "main:app", "interface": "asgi", "host": "0.0.0.0", "port": 8080, "workers": 4, "access_log": True},
        ["header_timeout"],
    ),
    "granian: WSGI": (
        "granian --interface wsgi --blocking-threads 16 --backpressure 16 --runtime-mode mt --respawn-failed-workers "
        "--workers-lifetime 1h --workers-max-rss 512 wsgi:app",
        {"interface": "wsgi", "threads": 16, "max_worker_age": "1h", "max_worker_memory": "512M"},
        ["there is no runtime beside Python", "always replaced"],
    ),
    "granian: TLS and HTTP/2": (
        "granian --interface asginl --ssl-certificate c.pem --ssl-keyfile k.pem --http1-header-read-timeout 5000 "
        "--http2-max-concurrent-streams 50 --http 1 --uds /run/g.sock --uds-permissions 660 main:app",
        {
            "interface": "asgi",
            "lifespan": "off",
            "certfile": "c.pem",
            "header_timeout": "5000ms",
            "h2_max_concurrent_streams": 50,
            "h2": "off",
            "bind": "unix:/run/g.sock",
            "unix_mode": "660",
        },
        [],
    ),
    "granian: RSGI and files": (
        "granian main:app --interface rsgi --static-path-mount ./static --metrics --metrics-port 9091 "
        "--working-dir /srv --env-files .env --process-name shop --pid-file /run/g.pid --url-path-prefix /api "
        "--factory",
        {"chdir": "/srv", "proc_name": "shop", "pidfile": "/run/g.pid", "root_path": "/api", "factory": True},
        ["RSGI is granian's own", "WhiteNoise"],
    ),
    "hypercorn: HTTP/2": (
        "hypercorn main:app -b 0.0.0.0:443 --certfile c.pem --keyfile k.pem --insecure-bind 0.0.0.0:80 -w 2",
        {"bind": ["0.0.0.0:443", "http://0.0.0.0:80"], "certfile": "c.pem", "keyfile": "k.pem", "workers": 2},
        ["gracehttp[h2]"],
    ),
    "hypercorn: QUIC, trio": (
        "hypercorn asgi:main:app --quic-bind 0.0.0.0:443 --worker-class trio --keep-alive 20 --graceful-timeout 10 "
        "--access-logfile - --log-level warning -p h.pid --websocket-ping-interval 15 --root-path /a --debug",
        {"keep_alive_timeout": 20, "drain_timeout": 10, "access_log": True, "pidfile": "h.pid", "ws_ping_interval": 15},
        ["HTTP/3 is not spoken", "trio"],
    ),
}

HYPERCORN_FILE = 'bind = ["localhost:8080"]\nworkers = 2\naccesslog = "-"\napplication_path = "main:app"\n'


def serving(arguments):
    """The context of `gracehttp serve` with these arguments, as the command line makes it."""
    return serve.make_context("serve", arguments, parent=program.make_context("gracehttp", ["serve"]))


def check(plan, options, words):
    """The plan has these options, as far as this release has them; the file and the command say the same."""
    found = {"app": plan.app, **plan.options}
    for name, value in options.items():
        if name in OPTIONS:
            assert found.get(name) == value, name
    text = as_toml(plan, "x")
    flat = " ".join(line.removeprefix("#").strip() for line in text.splitlines())
    for word in words:
        assert word in flat
    assert {name: value for name, value in tomllib.loads(text).items() if name != "app"} == plan.options
    return text


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", GUNICORN)
def test_file_of_gunicorn(name, folder):
    text, options, words = GUNICORN[name]
    (folder / "gunicorn.conf.py").write_text(text)
    plan = plan_for(["gunicorn.conf.py"])
    check(plan, options, words)
    plan.app = plan.app or "main:app"
    check_loads_alike(plan, folder)


@pytest.mark.parametrize("name", COMMANDS)
def test_command(name, folder):
    command, options, words = COMMANDS[name]
    plan = plan_for(shlex.split(command))
    if not name.startswith("hypercorn: QUIC"):
        assert not any("no option of" in note for _, note in plan.remarks)
    check(plan, options, words)
    plan.app = plan.app.removeprefix("asgi:")
    check_loads_alike(plan, folder)


def check_loads_alike(plan, folder):
    """What the file and the command amount to is the same, and no error."""
    plan.options = {name: value for name, value in plan.options.items() if name not in ("chdir", "env_file")}
    (folder / "g.toml").write_text(as_toml(plan, "x"))
    from_file = load(cli={}, environ={}, file=folder / "g.toml")
    with serving(shlex.split(as_command(plan))[2:]) as context:
        values = {name: value for name, value in context.params.items() if name != "config_file"}
    from_command = load(cli=values, environ={}, file=None)
    anchored = {name for name, option in OPTIONS.items() if option.kind.is_path} | {"bind"}
    for name in OPTIONS:
        if name in anchored:
            continue
        for one, other in zip(
            [from_file.process, *from_file.servers], [from_command.process, *from_command.servers], strict=True
        ):
            assert getattr(one, name, None) == getattr(other, name, None), name


def test_there_are_thirty_configurations():
    assert len(GUNICORN) + len(COMMANDS) + 1 >= 30


def test_command_overrides_the_file_that_it_names_and_the_default_one(folder):
    (folder / "other.py").write_text("workers = 2\nkeepalive = 9\n")
    plan = plan_for(["gunicorn", "-c", "other.py", "-w", "8", "main:app"])
    check(plan, {"workers": 8, "keep_alive_timeout": 9}, [])
    (folder / "gunicorn.conf.py").write_text("workers = 7\n")
    check(plan_for(["gunicorn", "main:app"]), {"workers": 7}, [])


def test_file_of_hypercorn(folder):
    (folder / "hypercorn.toml").write_text(HYPERCORN_FILE)
    options = {"app": "main:app", "bind": "localhost:8080", "workers": 2, "access_log": True}
    check(plan_for(["hypercorn.toml"]), options, [])
    check(plan_for(["hypercorn", "-c", "hypercorn.toml"]), options, [])


def test_file_that_is_python_is_executed_in_a_process_of_its_own(folder):
    (folder / "gunicorn.conf.py").write_text(
        "import os, sys\nprint('said by the file')\nsys.modules['gracehttp'].broken = True\n"
        "proc_name = str(os.getpid())\nimport settings\nworkers = settings.workers\n"
    )
    (folder / "settings.py").write_text("workers = 6\n")
    plan = plan_for(["gunicorn.conf.py"])
    assert plan.options["workers"] == 6
    assert plan.options["proc_name"] != str(os.getpid())
    assert not hasattr(gracehttp, "broken")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1/0\n", "could not be executed: ZeroDivisionError: division by zero."),
        ("import sys; sys.exit(3)\n", "could not be executed: SystemExit: 3."),
        ("def\n", "could not be executed: SyntaxError"),
        ("import os; os._exit(3)\n", "ended without an answer."),
    ],
)
def test_file_that_fails_is_a_sentence_with_its_traceback(folder, text, sentence):
    (folder / "gunicorn.conf.py").write_text(text)
    with pytest.raises(ConfigurationError, match=r"gunicorn\.conf\.py") as caught:
        plan_for(["gunicorn.conf.py"])
    assert sentence in caught.value.message


def test_the_traceback_of_a_file_begins_with_the_file(folder):
    (folder / "gunicorn.conf.py").write_text("1/0\n")
    with pytest.raises(ConfigurationError) as caught:
        plan_for(["gunicorn.conf.py"])
    assert "gunicorn.conf.py" in caught.value.details.splitlines()[1]
    assert "config_probe" not in caught.value.details


@pytest.mark.parametrize(
    ("value", "h2c", "remarked"),
    [
        ("off", False, ""),
        ("both", True, ""),
        ("prior-knowledge", True, "both ways"),
        ("--bind", None, "knows no '--bind'"),
    ],
)
def test_the_ways_to_http2_in_clear_text(value, h2c, remarked):
    plan = plan_for(["gunicorn", "main:app", "--http2-cleartext", value])
    assert plan.options.get("h2c") is h2c
    assert remarked in " ".join(note for _, note in plan.remarks)
    assert bool(remarked) == any(name == "http2_cleartext" for name, _ in plan.remarks)


def test_what_is_wrong_with_an_option_that_is_left_out_is_told():
    plan = plan_for(["uvicorn", "main:app", "--forwarded-allow-ips", "10.0.0.1/8"])
    assert "10.0.0.1/8 has host bits set" in " ".join(note for _, note in plan.remarks)


def test_that_gunicorn_takes_the_path_of_the_application_from_a_field_is_told(folder):
    (folder / "gunicorn.conf.py").write_text("")
    told = " ".join(plan_for(["gunicorn.conf.py"]).defaults)
    assert "a field SCRIPT_NAME of a trusted proxy says nothing here" in told


def test_the_stop_of_gunicorn_has_the_limit_that_it_was_given(folder):
    (folder / "gunicorn.conf.py").write_text("graceful_timeout = 20\n")
    assert "30 s at a stop" not in as_toml(plan_for(["gunicorn.conf.py"]), "x")
    (folder / "gunicorn.conf.py").write_text("")
    assert "30 s at a stop" in " ".join(plan_for(["gunicorn.conf.py"]).defaults)


def test_hooks_of_workers_are_told_by_their_events(folder):
    (folder / "gunicorn.conf.py").write_text("def worker_exit(s, w): ...\ndef post_worker_init(w): ...\n")
    said = dict(plan_for(["gunicorn.conf.py"]).remarks)
    assert "worker_ending" in said["worker_exit = a function"]
    assert "--shutdown" in said["worker_exit = a function"]
    assert "worker_serving" in said["post_worker_init = a function"]


def test_an_atom_that_is_not_known_is_left_out_alone(folder):
    (folder / "gunicorn.conf.py").write_text("accesslog = '-'\naccess_log_format = '%(h)s %(z)s %({x-a}o)s %(s)s'\n")
    plan = plan_for(["gunicorn.conf.py"])
    assert plan.options["access_log_format"] == "%(h)s - - %(s)s"
    assert any(note.endswith("%(z)s, %({x-a}o)s") for _, note in plan.remarks)


@pytest.mark.parametrize(("level", "told"), [("warning", True), ("info", False)])
def test_a_level_at_which_no_request_is_logged_is_told(folder, level, told):
    plan = plan_for(["gunicorn", "--access-logfile", "/dev/stderr", "--log-level", level, "main:app"])
    assert any("logs nothing at this one" in note for _, note in plan.remarks) == told
    apart = plan_for(["gunicorn", "--access-logfile", "access.log", "--log-level", level, "main:app"])
    assert not any("logs nothing at this one" in note for _, note in apart.remarks), "a file has its own level"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["uvicorn", "--port", "80"], "this command of uvicorn names no application"),
        (["uvicorn", "main:app", "--no-such"], "--no-such is no option of uvicorn"),
    ],
)
def test_a_command_that_would_not_start_is_printed_and_ends_with_2(folder, words, sentence):
    result = CliRunner().invoke(program, ["migrate", "--", *words])
    assert result.exit_code == 2
    assert "# As a command:" in result.stdout
    assert sentence in result.stderr
    assert (result.stdout + result.stderr).count("no option of") <= 1


@pytest.mark.parametrize("where", ["-", "/dev/stdout"])
def test_requests_that_were_logged_to_stdout_still_are(folder, where):
    plan = plan_for(["gunicorn", "--access-logfile", where, "main:app"])
    assert (plan.options["access_log"], plan.options["access_log_file"]) == (True, "-")
    apart = plan_for(["gunicorn", "--access-logfile", "/dev/stderr", "main:app"])
    assert "access_log_file" not in apart.options
    told = " ".join(plan_for(["uvicorn", "main:app"]).defaults)
    assert 'uvicorn logs requests to stdout, gracehttp to stderr with the rest; access_log_file = "-"' in told


@pytest.mark.parametrize(("given", "proposed"), [([], True), (["--control-socket", "c.sock"], False)])
def test_a_pidfile_is_proposed_where_nothing_tells_where_the_service_is(folder, given, proposed):
    text = as_toml(plan_for(["gunicorn", *given, "main:app"]), "x")
    assert ('# pidfile = "gracehttp.pid"' in text) is proposed


def test_variables_are_proposed_as_a_file(folder):
    (folder / "gunicorn.conf.py").write_text("raw_env = ['A=1', 'B=x # y', \"C=it's\", 'D=l\\nm']\n")
    text = as_toml(plan_for(["gunicorn.conf.py"]), "x")
    proposed = text.partition("# service.env:\n")[2]
    (folder / "service.env").write_text("".join(f"{line[4:]}\n" for line in proposed.splitlines()))
    assert '#   env_file = "service.env"' in text
    assert completed({}, [str(folder / "service.env")]) == {"A": "1", "B": "x # y", "C": "it's", "D": "l\nm"}


def test_hooks_are_proposed_with_the_signature_that_they_have_here(folder):
    (folder / "gunicorn.conf.py").write_text(
        "def post_fork(s, w): ...\ndef post_worker_init(w): ...\ndef child_exit(s, w): ...\ndef when_ready(s): ...\n"
    )
    _, _, proposed = as_toml(plan_for(["gunicorn.conf.py"]), "x").partition("# Hooks have other parameters here")
    table, _, module = proposed.partition("# my_hooks.py:")
    uncommented = "\n".join(line[4:] for line in table.splitlines()[1:])
    (folder / "g.toml").write_text(f'app = "main:app"\n{uncommented}')
    functions = "\n".join(line[4:] for line in module.splitlines())
    names = {}
    exec(functions, names)
    hooks = load(cli={}, environ={}, file=folder / "g.toml").hooks
    assert {event for event, _, _ in hooks} == {"worker_serving", "worker_exited", "generation_promoted"}
    events = {re.sub(r"(?<!^)(?=[A-Z])", "_", one.__name__).lower(): one for one in every_event()}
    for event, function, _ in hooks:
        for one in [function] if isinstance(function, str) else function:
            name = one.removeprefix("my_hooks:")
            assert callable(names[name])
            said = re.search(rf"def {name}\(event\):  # (.*)", functions)[1]
            fields = {one for base in events[event].__mro__ for one in getattr(base, "__annotations__", {})}
            assert {one.removeprefix("event.") for one in said.split(", ")} <= fields


@pytest.mark.parametrize(("preload", "event"), [("True", "worker_forked"), ("False", "worker_serving")])
def test_the_hook_of_a_fork_is_that_of_a_fork_where_there_is_one(folder, preload, event):
    (folder / "gunicorn.conf.py").write_text(f"preload_app = {preload}\ndef post_fork(s, w): ...\n")
    text = as_toml(plan_for(["gunicorn.conf.py"]), "x")
    assert f'#   {event} = "my_hooks:post_fork"' in text


@pytest.mark.parametrize(
    ("name", "taken", "told"),
    [
        ("log.json", True, "the loggers are gracehttp.*"),
        ("log.toml", True, "the loggers are gracehttp.*"),
        ("log.yaml", False, "< log.yaml > log.json makes JSON of it"),
        ("a b.yml", False, "< 'a b.yml' > 'a b.json' makes JSON of it"),
        ("log.ini", False, "left out: the file must be JSON or TOML for dictConfig; the loggers"),
    ],
)
def test_a_log_config_that_gracehttp_can_not_read_is_left_out(name, taken, told):
    plan = plan_for(["uvicorn", "main:app", "--log-config", name])
    assert ("log_config" in plan.options) is taken
    assert told in dict(plan.remarks)[f"log_config = {name!r}"]


def every_event():
    found, new = set(), [gracehttp.events.Event]
    while new:
        one = new.pop()
        found.add(one)
        new += one.__subclasses__()
    return found


def test_trust_in_all_proxies_is_explained_for_uvicorn():
    said = dict(plan_for(["uvicorn", "main:app", "--forwarded-allow-ips", "*"]).remarks)
    assert "the client is the rightmost entry" in said["forwarded_allow_ips = '*'"]
    assert plan_for(["uvicorn", "main:app", "--forwarded-allow-ips", "10.0.0.1"]).remarks == []


def test_a_script_that_starts_a_server_is_not_executed(folder):
    (folder / "run.py").write_text(
        "open('ran', 'w')\nimport uvicorn\nif __name__ == '__main__':\n    uvicorn.run('main:app')\n"
    )
    with pytest.raises(ConfigurationError, match="is a script that starts a server") as caught:
        plan_for(["run.py"])
    assert "gracehttp.run(app, host=..., port=...)" in caught.value.hint
    assert not (folder / "ran").exists()


def test_a_file_that_does_not_end_is_told_with_what_it_may_be(folder, monkeypatch):
    monkeypatch.setattr(config_files, "TIMEOUT_SECONDS", 0.01)
    (folder / "gunicorn.conf.py").write_text("import time\ntime.sleep(1000)\n")
    with pytest.raises(ConfigurationError, match="did not end within") as caught:
        plan_for(["gunicorn.conf.py"])
    assert "does it start a server?" in caught.value.hint


def test_what_is_no_server_and_no_file_is_told():
    with pytest.raises(ConfigurationError, match=r"there is no file nowhere\.py"):
        plan_for(["nowhere.py"])
    with pytest.raises(ConfigurationError, match="none of gunicorn, uvicorn, granian and hypercorn is called there"):
        plan_for(["daphne", "main:app"])
    with pytest.raises(ConfigurationError, match="--port has no value"):
        plan_for(["uvicorn", "main:app", "--port"])


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        ("fastapi dev main.py", "fastapi dev is gracehttp serve main:app --reload"),
        ("python manage.py runserver 0.0.0.0:80", "runserver is gracehttp serve mysite.wsgi:application --reload"),
        ("flask --app shop run", "flask run --debug is gracehttp serve app:app --port 5000 --reload"),
    ],
)
def test_other_programs_that_serve_get_a_command_that_does_the_same(command, hint):
    with pytest.raises(ConfigurationError, match="is called there") as caught:
        plan_for(command.split())
    assert hint in caught.value.hint


def test_a_whole_command_in_quotes_is_read_as_its_words():
    quoted = plan_for(["uvicorn 'main:create_app(\"a b\")' --port 80"])
    assert (quoted.app, quoted.options["port"]) == ('main:create_app("a b")', 80)


def test_value_that_is_none_of_ours_is_left_out_and_told():
    plan = plan_for(["uvicorn", "main:app", "--port", "http"])
    assert "port" not in plan.options
    assert ("port = 'http'", "left out: port must be a port from 0 to 65535") in plan.remarks


def test_command_prints_a_file_that_can_be_used(folder):
    result = CliRunner().invoke(program, ["migrate", "--", "uvicorn", "main:app", "--port", "80"])
    assert result.exit_code == 0
    assert tomllib.loads(result.output) == {"app": "main:app", "access_log": True, "port": 80}
    assert "gracehttp serve main:app --access-log --port 80" in result.output


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--timeout", "30"], "--hang-timeout for a worker that hangs, --request-timeout for a request"),
        (["-k", "gevent"], "leave it out: whether the application is ASGI or WSGI is found out"),
        (["--worker-class", "gevent"], "leave it out"),
        (["--graceful-timeout", "30"], "--drain-timeout DURATION"),
        (["--ssl-certificate", "c"], "--certfile PATH"),
        (["--timeout-keep-alive", "5"], "--keep-alive-timeout DURATION"),
        (["--limit-concurrency", "5"], "--max-connections N"),
        (["--uds", "/x"], "--bind unix:PATH"),
        (["--blocking-threads", "5"], "--threads N"),
        (["--http", "h11"], "leave it out: the parser is the server's own"),
        (["-t", "30"], "--hang-timeout for a worker that hangs, --request-timeout for a request"),
        (["-e", "A=b"], "write the variable into a file, a line NAME=VALUE, and name that file by --env-file"),
        (["--env", "A=b"], "write the variable into a file, a line NAME=VALUE, and name that file by --env-file"),
        (["--quic-bind", ":1"], "HTTP/3 is not spoken"),
        (["--proxy-protocol"], "--proxy"),
        (["-D"], "run it under systemd"),
    ],
)
def test_unknown_option_that_another_server_has_gets_the_hint_that_fits(arguments, hint):
    with pytest.raises(click.UsageError) as caught:
        serving(["main:app", *arguments])
    assert f"No such option: {arguments[0]}. Hint: {arguments[0]} is an option of " in caught.value.message
    assert f"here: {hint}" in caught.value.message


def test_unknown_option_that_no_server_has_gets_the_nearest_one():
    with pytest.raises(click.UsageError, match="Hint: did you mean --workers"):
        serving(["main:app", "--worker", "3"])


@pytest.mark.parametrize("server", SERVERS)
def test_each_option_of_a_server_that_is_none_of_ours_has_a_hint(server):
    ours = {name for one in serve.params for name in (*one.opts, *one.secondary_opts)}
    for rule in SERVERS[server].rules:
        for flag in rule.flags:
            assert flag in ours or foreign_flag(flag)


@pytest.mark.parametrize(
    ("settings", "told"),
    {
        "timeout = 120": "one long request is enough for that as soon as another one waits",
        "timeout = 120 ": 'add request_timeout = "120s"',
        "timeout = 120\nthreads = 4": "all at the same requests for that long while others wait",
        "timeout = 120\nworker_class = 'gevent'": "all at the same requests for that long while others wait",
        "timeout = 120\nworker_class = 'uvicorn.workers.UvicornWorker'": "whose event loop doesn't turn. Requests may",
    }.items(),
)
def test_the_timeout_of_gunicorn_is_explained_by_the_worker(tmp_path, settings, told):
    (tmp_path / "gunicorn.conf.py").write_text(settings)
    plan = plan_for([str(tmp_path / "gunicorn.conf.py")])
    assert plan.options["hang_timeout"] == 120
    assert "request_timeout" not in plan.options
    assert told in "\n".join(text for shown, text in plan.remarks if shown == "timeout = 120")


@pytest.mark.parametrize(
    ("settings", "told"), {"": True, "threads = 4": False, "timeout = 0": False, "timeout = 9": False}.items()
)
def test_that_gunicorn_kills_a_sync_worker_after_30_seconds_is_told(tmp_path, settings, told):
    (tmp_path / "gunicorn.conf.py").write_text(settings)
    defaults = "\n".join(plan_for([str(tmp_path / "gunicorn.conf.py")]).defaults)
    assert ("timeout (30 s): gunicorn kills a sync worker" in defaults) is told


@pytest.mark.parametrize("server", SERVERS)
def test_flags_are_those_of_the_server(server):
    """Against the server itself, where it is installed."""
    pytest.importorskip(server)
    known = {flag for rule in SERVERS[server].rules for flag in rule.flags}
    match server:
        case "gunicorn":
            from gunicorn.config import KNOWN_SETTINGS

            real = {flag for setting in KNOWN_SETTINGS for flag in setting.cli or ()} - {"-c", "--config"}
            names = {setting.name for setting in KNOWN_SETTINGS} - {"config"}
            assert names <= {rule.name for rule in SERVERS[server].rules}
        case "uvicorn":
            main = importlib.import_module("uvicorn.main").main
            real = {flag for one in main.params for flag in (*one.opts, *one.secondary_opts)}
        case "granian":
            import granian.cli

            real = {flag for one in granian.cli.cli.params for flag in (*one.opts, *one.secondary_opts)}
        case _:  # its parser is made and used in one function
            help_text = subprocess.run(
                [sys.executable, "-m", server, "--help"],
                capture_output=True,
                text=True,
                check=True,
                timeout=DEADLINE_SECONDS,
            ).stdout
            found = set(re.findall(r"(?<![\w-])--?[a-zA-Z][a-zA-Z0-9-]*", help_text))
            real = found - {"-h", "-c", "--config"}
    assert {flag for flag in real if flag.startswith("-")} - {"--version", "--help"} <= known
