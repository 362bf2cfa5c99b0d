"""Every option of gracehttp, once: its type, default, help, group and scope.

The command line, the environment variables, the keys of the TOML file, the keyword arguments and the page
docs/options.md derive from the two dataclasses below. Pure.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from gracehttp.config import types
from gracehttp.config.access_format import ACCESS_FORMAT
from gracehttp.config.checks import check_program, check_server
from gracehttp.hints import Named, hint
from gracehttp.net.address import Bind, parse_bind

DEFAULT_BIND: Final = "127.0.0.1:8000"

APPLICATION: Final = "Application"
LISTENING: Final = "Listening"
TLS: Final = "TLS"
LIMITS: Final = "Limits and timeouts"
HTTP2: Final = "HTTP/2"
WEBSOCKET: Final = "WebSocket"
PROXIES: Final = "Behind a proxy"
RESPONSES: Final = "Responses"
PROCESSES: Final = "Processes"
LOGGING: Final = "Logging"
CONTROL: Final = "Control"
HEALTH: Final = "Health checks"
DEVELOPMENT: Final = "Development"
GROUPS: Final = (
    APPLICATION,
    LISTENING,
    TLS,
    LIMITS,
    HTTP2,
    WEBSOCKET,
    PROXIES,
    RESPONSES,
    PROCESSES,
    LOGGING,
    CONTROL,
    HEALTH,
    DEVELOPMENT,
)
"""The headings under which options are shown, in this order."""


class Scope(enum.Enum):
    """What an option belongs to."""

    PROCESS = "process"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Option:
    """One option. `default` has the form that `kind.parse` returns; an option with `required` has none."""

    help: str
    kind: types.Kind
    group: str
    short: str = ""
    required: bool = False
    common_variable: str = ""
    aliases: tuple[str, ...] = ()
    """Names that other servers have for it, which are understood as well (`ssl_certfile`)."""
    name: str = ""
    default: object = None
    scope: Scope = Scope.PROCESS

    @property
    def flag(self) -> str:
        """The option of the command line; for the application its positional argument."""
        return "APP" if self.name == "app" else Named(self.name).flag

    @property
    def variable(self) -> str:
        """The environment variable. `common_variable`, which other programs know too, stands behind the file."""
        return f"GRACEHTTP_{self.name.upper()}"

    def show_default(self) -> str:
        """The default as a person would write it."""
        if self.required:
            return "required"
        return DEFAULT_BIND if isinstance(self.default, Bind) else self.kind.show(self.default)


def option(
    default: object,
    *,
    kind: types.Kind,
    group: str,
    short: str = "",
    common_variable: str = "",
    aliases: tuple[str, ...] = (),
    help: str,  # noqa: A002  as in argparse
) -> Any:
    """A dataclass field that is an option. `dataclasses.MISSING` as default makes it a required one."""
    required = default is dataclasses.MISSING
    declared = Option(
        help=help,
        kind=kind,
        group=group,
        short=short,
        required=required,
        common_variable=common_variable,
        aliases=aliases,
    )
    if required:
        return dataclasses.field(metadata={"option": declared})
    return dataclasses.field(default=default, metadata={"option": declared})


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessOptions:
    """The options of the whole program."""

    workers: int = option(
        1,
        kind=types.count(minimum=1, maximum=1024),
        group=PROCESSES,
        short="-w",
        common_variable="WEB_CONCURRENCY",
        help="Worker processes. Each runs the application; all accept from the same ports.",
    )
    threads: int = option(
        8,
        kind=types.count(minimum=0, maximum=1024),
        group=PROCESSES,
        help="Threads per worker that run a WSGI application. 0: it is called on the event loop, for applications that "
        "never wait. ASGI applications don't use them.",
    )
    loop: str = option(
        "auto",
        kind=types.one_of("auto", "uvloop", "asyncio"),
        group=PROCESSES,
        help="The event loop. auto: uvloop where it is installed, else asyncio.",
    )
    preload: bool = option(
        False,
        kind=types.flag(),
        group=PROCESSES,
        help="Import the application once in each generation, and fork its workers from there: they start together, "
        "share memory, and one that crashes is replaced by the same code. A restart loads new code all the same.",
    )
    spare: str = option(
        "auto",
        kind=types.one_of("auto", "on", "off"),
        group=PROCESSES,
        help="A spare process, which has loaded gracehttp and nothing of the application, forks the workers that start "
        "once a generation serves: a restart then takes little more than the application's import. auto: with two "
        "workers or more, which share its memory. A script has none.",
    )
    lifespan: str = option(
        "auto",
        kind=types.one_of("auto", "on", "off"),
        group=APPLICATION,
        help="The ASGI lifespan protocol. auto: if the application supports it; on: it must; off: not used.",
    )
    warmup: tuple[str, ...] = option(
        (),
        kind=types.TARGETS,
        group=APPLICATION,
        help="A request that a worker answers to itself before it counts as ready: a path, or a URL if host and scheme "
        "matter, such as https://example.com/info. A 5xx means not ready; a 3xx or 4xx is told.",
    )
    ready_timeout: float = option(
        60.0,
        kind=types.duration(),
        group=PROCESSES,
        help="The longest that a new worker may take until it is ready. After that the restart is given up, "
        "and what serves already serves on.",
    )
    request_timeout: float = option(
        0.0,
        kind=types.duration(may_be_zero=True),
        group=LIMITS,
        help="The longest that an application may take for a request, from its head to the end of the response. Then "
        "the client gets 503, or if the response has begun, the connection is cut; an ASGI application is cancelled. "
        "WebSockets are left alone. 0s: no limit.",
    )
    hang_timeout: float = option(
        30.0,
        kind=types.duration(may_be_zero=True),
        group=PROCESSES,
        help="Replace a worker whose event loop hasn't turned for that long, or whose WSGI threads are all at the same "
        "requests for that long while others wait: a successor starts first, then where the worker hangs is logged, "
        "and it is ended. 0s: it isn't looked for.",
    )
    drain_timeout: float = option(
        30.0,
        kind=types.duration(may_be_zero=True),
        group=PROCESSES,
        help="The longest that requests in flight may take to end, at a restart or stop. Then they are cut.",
    )
    stop_delay: float = option(
        0.0,
        kind=types.duration(may_be_zero=True),
        group=PROCESSES,
        help="How long the service goes on after it was told to stop, before the drain. Meanwhile the ready path "
        "answers 503, so that load balancers send elsewhere. A second signal forces.",
    )
    probation: float = option(
        0.0,
        kind=types.duration(may_be_zero=True),
        group=PROCESSES,
        help="After a restart, the old workers stand by for that long. If one of the new ones dies meanwhile, or "
        "hangs when that time is over, the old ones take over again, and the restart has failed. 0s: they go at once.",
    )
    probation_max_errors: float | None = option(
        None,
        kind=types.SHARE,
        group=PROCESSES,
        help="During the probation, the old workers take over again also if more than this share of the new ones' "
        "responses are server errors (5xx). none: responses aren't counted.",
    )
    max_requests: int = option(
        0,
        kind=types.count(),
        group=PROCESSES,
        help="Replace a worker after that many requests: a successor starts first and takes its connections over. "
        "0: never.",
    )
    max_requests_jitter: int | None = option(
        None,
        kind=types.count(optional=True),
        group=PROCESSES,
        help="A random number of requests up to this is added to max_requests, for each worker anew, so that they "
        "aren't replaced all at the same time. none: a tenth of max_requests.",
    )
    max_worker_age: float = option(
        0.0,
        kind=types.duration(may_be_zero=True),
        group=PROCESSES,
        help="Replace a worker after it has served for that long, and up to a tenth longer, by chance. 0s: never.",
    )
    max_worker_memory: int = option(
        0,
        kind=types.size(zero_means="no limit"),
        group=PROCESSES,
        help="Replace a worker when it uses more memory than that. It is looked at after requests, at most once a "
        "second; on Linux only.",
    )
    app_dir: str = option(
        ".",
        kind=types.FOLDER,
        group=APPLICATION,
        help="The folder from which the application is imported.",
    )
    chdir: str | None = option(
        None,
        kind=types.FOLDER,
        group=APPLICATION,
        help="Work in this folder, as if the command had been given there. Files named by --config and --env-file are "
        "found before that.",
    )
    env_file: tuple[str, ...] = option(
        (),
        kind=types.PATHS,
        group=APPLICATION,
        help="A file with lines KEY=VALUE, for the environment of the application and for options. What the "
        "environment has already, stays. Workers read it when they start, so a restart brings new values. Can be given "
        "again; a later file wins.",
    )
    access_log: bool = option(
        False,
        kind=types.flag(),
        group=LOGGING,
        help="Log each request, at the level info.",
    )
    access_log_format: str = option(
        "log",
        kind=ACCESS_FORMAT,
        group=LOGGING,
        help="How requests are logged. log: as the other lines of the log; common, combined; json, or "
        "json:FIELD,FIELD; or a format string with the atoms of gunicorn. All but log switch the access log on.",
    )
    access_log_file: str | None = option(
        None,
        kind=types.LOG_FILE,
        group=LOGGING,
        help="Log requests to this file, not to where the rest of the log goes; -: to standard output. It is opened "
        "anew after a rotation, without a signal. Switches the access log on.",
    )
    access_log_exclude: tuple[str, ...] = option(
        (),
        kind=types.TARGETS,
        group=LOGGING,
        help="Leave requests for this path out of the access log; with * at its end, for all paths that begin so.",
    )
    log_file: str | None = option(
        None,
        kind=types.LOG_FILE,
        group=LOGGING,
        help="Log to this file, not to standard error; -: to standard output. It is opened anew after a rotation, "
        "without a signal.",
    )
    log_config: str | None = option(
        None,
        kind=types.PATH,
        group=LOGGING,
        help="A file for logging.config.dictConfig, as JSON or TOML, for the supervisor and each worker.",
    )
    log_level: str = option(
        "info",
        kind=types.one_of(
            "debug",
            "info",
            "notice",
            "warning",
            "error",
            "critical",
            hints={
                "trace": hint("{} tells most", Named("log_level", "debug")),
                "notset": hint("{} tells most", Named("log_level", "debug")),
                "warn": hint("write {}", Named("log_level", "warning")),
                "fatal": hint("write {}", Named("log_level", "critical")),
            },
        ),
        group=LOGGING,
        help="The least severe level that is logged.",
    )
    log_format: str = option(
        "text",
        kind=types.one_of("text", "json"),
        group=LOGGING,
        help="text: a line to read; json: one object per line.",
    )
    proc_name: str | None = option(
        None,
        kind=types.TEXT,
        group=PROCESSES,
        help="What ps shows in brackets after gracehttp: supervisor, template or worker. none: the application.",
    )
    user: str | None = option(
        None,
        kind=types.ACCOUNT,
        group=PROCESSES,
        help="Run workers and templates as this user (a name or a number), with its groups. The supervisor must be "
        "root, and stays it. Unix sockets belong to the user.",
    )
    group: str | None = option(
        None,
        kind=types.ACCOUNT,
        group=PROCESSES,
        help="Run workers and templates with this group (a name or a number). none: that of --user.",
    )
    umask: int | None = option(
        None,
        kind=types.MODE,
        group=PROCESSES,
        help="The umask of all processes, such as 027: which permissions the files that they make don't get.",
    )
    pidfile: str | None = option(
        None,
        kind=types.PIDFILE,
        group=CONTROL,
        short="-p",
        help="Write the PID of the supervisor to this file. It stays the same through all restarts.",
    )
    control: str | None = option(
        None,
        kind=types.PATH,
        group=CONTROL,
        help="The path of the control socket, for gracehttp restart, stop and status. "
        "none: an abstract name that holds the PID.",
    )
    metrics: str | None = option(
        None,
        kind=types.METRICS,
        group=CONTROL,
        help="Where metrics are served to Prometheus, such as 127.0.0.1:9090 or unix:PATH; any path there. "
        "none: nothing is counted.",
    )
    no_control: bool = option(
        False,
        kind=types.flag(negatable=False),
        group=CONTROL,
        help="Open no control socket; signals work all the same.",
    )
    fd_store: str = option(
        "auto",
        kind=types.one_of("auto", "on", "off"),
        group=CONTROL,
        help="Whether the service manager keeps the listening sockets, so that their queues live on when the "
        "supervisor is killed. auto: if it says that it would (systemd 254 with FileDescriptorStoreMax=).",
    )
    live_path: str | None = option(
        None,
        kind=types.PROBE_PATH,
        group=HEALTH,
        help="A path at which the server itself answers 200 while the service lives, for Kubernetes and load "
        "balancers. none: each path is the application's; with --admin it is /livez there.",
    )
    ready_path: str | None = option(
        None,
        kind=types.PROBE_PATH,
        group=HEALTH,
        help="A path at which the server itself answers 200, and 503 once the service was told to stop. "
        "none: each path is the application's; with --admin it is /readyz there.",
    )
    log_probes: bool = option(
        False,
        kind=types.flag(),
        group=LOGGING,
        help="Log requests for live_path and ready_path in the access log too.",
    )
    admin: str | None = option(
        None,
        kind=types.ADDRESS,
        group=HEALTH,
        help="An address of its own, HOST:PORT or unix:PATH, at which the supervisor answers live_path and ready_path, "
        "and /metrics; the ports of the application answer none of them then. For a private network: who can reach it "
        "is answered.",
    )
    agent_check: str | None = option(
        None,
        kind=types.ADDRESS,
        group=HEALTH,
        help="An address, HOST:PORT or unix:PATH, at which the supervisor tells HAProxy's agent-check its state, and "
        "its weight by the connections that it could still take.",
    )
    reload: bool = option(
        False,
        kind=types.flag(),
        group=DEVELOPMENT,
        help="Restart when a file changes, and end within a second at Ctrl+C. Needs gracehttp[reload].",
    )
    reload_dir: tuple[str, ...] = option(
        (),
        kind=types.FOLDERS,
        group=DEVELOPMENT,
        help="A folder to watch, with all that is in it. none: that of app_dir. Can be given again.",
    )
    reload_include: tuple[str, ...] = option(
        (),
        kind=types.PATTERNS,
        group=DEVELOPMENT,
        help="Files to watch beside *.py, such as '*.html' or .env: by their name, or with a slash by their path. "
        "Can be given again.",
    )
    reload_exclude: tuple[str, ...] = option(
        (),
        kind=types.PATTERNS,
        group=DEVELOPMENT,
        help="Files and folders not to watch, beside __pycache__, .git, node_modules, virtual environments and the "
        "like. Can be given again.",
    )
    reload_polling: bool = option(
        False,
        kind=types.flag(),
        group=DEVELOPMENT,
        help="Look at the files at intervals, for folders of which the system tells no changes, as some of containers "
        "and networks. WATCHFILES_FORCE_POLLING=1 does that too.",
    )

    def __post_init__(self) -> None:
        check_program(self)

    @property
    def logs_access(self) -> bool:
        """Whether requests are logged: an option of the access log has switched it on, too."""
        return self.access_log or self.access_log_file is not None or self.access_log_format != "log"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """The options of one listener. `certfile` is set if it speaks TLS (`tls`), else empty; then `keyfile` has as many
    paths."""

    app: object = option(
        dataclasses.MISSING,
        kind=types.REFERENCE,
        group=APPLICATION,
        help="The application: an import string such as main:app or, with --factory, main:create_app.",
    )
    interface: str = option(
        "auto",
        kind=types.one_of(
            "auto",
            "asgi",
            "wsgi",
            hints={
                "asgi2": "wrap the application: asgiref.compatibility.guarantee_single_callable(app)",
                "asgi3": hint("write {}, or leave it out: it is found out", Named("interface", "asgi")),
                "asginl": hint("write {} (ASGI without lifespan)", Named("lifespan", "off")),
                "rsgi": "RSGI is granian's own: serve the application as ASGI or WSGI",
            },
        ),
        group=APPLICATION,
        help="What the application is written for. auto: found out from the application.",
    )
    factory: bool = option(
        False,
        kind=types.flag(),
        group=APPLICATION,
        help="APP names a function that returns the application, and is called without arguments. A call with literal "
        "arguments, 'main:create_app(\"prod\")', needs no --factory.",
    )
    startup: object = option(
        None,
        kind=types.FUNCTION,
        group=APPLICATION,
        help="A function without parameters that each worker calls before it serves a WSGI application, such as "
        "main:startup. If it raises, the worker is not ready. ASGI applications have their lifespan instead.",
    )
    shutdown: object = option(
        None,
        kind=types.FUNCTION,
        group=APPLICATION,
        help="As startup, called when the worker has answered its last request.",
    )
    bind: Bind = option(  # noqa: RUF009  it makes a field(), as a dataclass wants it
        parse_bind(DEFAULT_BIND),
        kind=types.BINDS,
        group=LISTENING,
        short="-b",
        help="Where to listen: HOST:PORT, :PORT or *:PORT (all IPv4 addresses), [::1]:PORT, [::]:PORT (all "
        "IPv6 addresses, and IPv4 too if no other bind has that port for it), http://HOST (port 80), "
        "https://HOST (port 443), unix:PATH, fd://N or systemd:NAME. Can be given again. Options for one address "
        "follow as a query: 'https://:9443?certfile=a.pem&max_connections=500'.",
    )
    host: str | None = option(
        None,
        kind=types.HOST,
        group=LISTENING,
        help="With --port, another way to write --bind: a name or an address. none: 127.0.0.1, and 0.0.0.0 with $PORT.",
    )
    port: int | None = option(
        None,
        kind=types.PORT,
        group=LISTENING,
        common_variable="PORT",
        help="With --host, another way to write --bind. none: 8000.",
    )
    unix_mode: int | None = option(
        None,
        kind=types.MODE,
        group=LISTENING,
        help="The permissions of Unix sockets, such as 660. none: as the umask says.",
    )
    backlog: int = option(
        2048,
        kind=types.count(minimum=1, maximum=65535),
        group=LISTENING,
        help="How many connections may wait in the kernel's queue to be accepted. fd://N keeps that of its opener.",
    )
    tcp_keepalive: float = option(
        60.0,
        kind=types.duration(may_be_zero=True),
        group=LISTENING,
        help="After how much idle time the kernel probes whether a client still exists. One that doesn't answer within "
        "as long again is gone, as after an error. 0s: it never does.",
    )
    certfile: tuple[str, ...] = option(
        (),
        kind=types.FILES,
        group=TLS,
        aliases=("ssl_certfile",),
        help="The certificate chain, in PEM. Makes each address speak TLS, except those with http://. Can be given "
        "again, with a keyfile for each: clients get the one for the name that they ask for (SNI), else the first. "
        "A variable has one path a line.",
    )
    keyfile: tuple[str, ...] = option(
        (),
        kind=types.FILES,
        group=TLS,
        aliases=("ssl_keyfile",),
        help="The private key, in PEM; of several, in the order of the certificates. none: each is in the file of its "
        "certificate.",
    )
    keyfile_password: str | None = option(
        None,
        kind=types.SECRET,
        group=TLS,
        aliases=("ssl_keyfile_password",),
        help="The password of the private keys. Others can see the command line: better use the variable.",
    )
    ssl_ca: str | None = option(
        None,
        kind=types.PATH,
        group=TLS,
        aliases=("ssl_ca_certs",),
        help="The authorities that client certificates must come from, in PEM.",
    )
    ssl_verify: str = option(
        "auto",
        kind=types.VERIFY,
        group=TLS,
        aliases=("ssl_cert_reqs",),
        help="Whether clients are asked for a certificate. optional: they may have none; required: they must have one; "
        "auto: required if ssl_ca is given, else none.",
    )
    ssl_crl: str | None = option(
        None,
        kind=types.PATH,
        group=TLS,
        help="The list of client certificates that were revoked (CRL), in PEM, of the authority that has issued them.",
    )
    ssl_min_version: str = option(
        "1.2",
        kind=types.TLS_VERSION,
        group=TLS,
        aliases=("ssl_version",),
        help="The oldest version of TLS that is spoken: 1.2 or 1.3.",
    )
    ssl_ciphers: str | None = option(
        None,
        kind=types.TEXT,
        group=TLS,
        help="The cipher suites of TLS 1.2, as in openssl-ciphers(1); those of TLS 1.3 are OpenSSL's. none: those "
        "with forward secrecy and authenticated encryption.",
    )
    ssl_groups: str | None = option(
        None,
        kind=types.TEXT,
        group=TLS,
        help="The groups for the key exchange, in the order of preference, such as X25519:P-256. none: those of "
        "OpenSSL.",
    )
    tls_handover: bool = option(
        False,
        kind=types.flag(),
        group=TLS,
        help="At a restart, connections that speak HTTP/1.1 over TLS 1.3 go to the new workers too, without a new "
        "handshake. Both generations must have this option. Needs the package cryptography: "
        "pip install 'gracehttp[tls-handover]'.",
    )
    max_connections: int = option(
        100_000,
        kind=types.count(minimum=1, maximum=10_000_000),
        group=LIMITS,
        help="The most connections that are open on the address, over all workers and through restarts. "
        "The excess waits in the kernel's queue.",
    )
    shed_idle_after: float = option(
        5.0,
        kind=types.duration(may_be_zero=True),
        group=LIMITS,
        help="When max_connections are open and others wait, connections that have been idle for that long are "
        "closed to make room, one for each that waits, the longest idle first. 0s: none is.",
    )
    keep_alive_timeout: float = option(
        75.0,
        kind=types.duration(),
        group=LIMITS,
        help="How long a connection may be idle between two requests.",
    )
    header_timeout: float = option(
        10.0,
        kind=types.duration(),
        group=LIMITS,
        help="The longest that a TLS handshake may take, and then the head of a request to arrive.",
    )
    body_timeout: float = option(
        30.0,
        kind=types.duration(),
        group=LIMITS,
        help="The longest wait for the next piece of a request body, or for a client to read on.",
    )
    max_header_size: int = option(
        65536,
        kind=types.size(minimum=256),
        group=LIMITS,
        help="The largest head of a request: request line and header fields.",
    )
    max_body_size: int = option(
        0,
        kind=types.size(zero_means="no limit"),
        group=LIMITS,
        help="The largest body of a request.",
    )
    h2: str = option(
        "auto",
        kind=types.one_of("auto", "on", "off"),
        group=HTTP2,
        help="Whether HTTP/2 is offered over TLS (ALPN). auto: if its library is installed (gracehttp[h2]).",
    )
    h2c: bool = option(
        False,
        kind=types.flag(),
        group=HTTP2,
        help="Speak HTTP/2 without TLS too, with clients that know it beforehand or ask for it by Upgrade. "
        "Meant for proxies in front.",
    )
    h2_max_concurrent_streams: int = option(
        100,
        kind=types.count(minimum=1, maximum=65535),
        group=HTTP2,
        help="How many requests a client may have in flight on one connection.",
    )
    ws_max_size: int = option(
        16 * 1024 * 1024,
        kind=types.size(zero_means="no limit"),
        group=WEBSOCKET,
        help="The largest message of a client, after inflating. A larger one closes the WebSocket with 1009. "
        "0: no limit.",
    )
    ws_ping_interval: float = option(
        20.0,
        kind=types.duration(may_be_zero=True),
        group=WEBSOCKET,
        help="How long after the last answered ping the next one is sent. 0s: none is sent.",
    )
    ws_ping_timeout: float = option(
        20.0,
        kind=types.duration(may_be_zero=True),
        group=WEBSOCKET,
        help="How long a client may take to answer a ping. Then the WebSocket is closed. 0s: for ever.",
    )
    ws_deflate: str = option(
        "off",
        kind=types.one_of("off", "on"),
        group=WEBSOCKET,
        help="Whether messages are compressed (permessage-deflate) with clients that offer it. It costs memory for "
        "each WebSocket, see docs/websockets.md.",
    )
    ws_deflate_window_bits: int = option(
        12,
        kind=types.count(minimum=9, maximum=15),
        group=WEBSOCKET,
        help="With ws_deflate: the largest window of the compression, as a power of two.",
    )
    ws_deflate_memory_level: int = option(
        5,
        kind=types.count(minimum=1, maximum=9),
        group=WEBSOCKET,
        help="With ws_deflate: how much memory the compression may use besides its window.",
    )
    ws_goodbye: float = option(
        5.0,
        kind=types.duration(may_be_zero=True),
        group=WEBSOCKET,
        help="How long the application has to end its WebSockets itself after it has heard of a drain. Then the server "
        "closes them with 1012, not all at once.",
    )

    proxy_headers: bool = option(
        True,
        kind=types.flag(),
        group=PROXIES,
        help="Believe trusted proxies what they say of their clients in header fields, and remove such fields from "
        "requests of all others. Without it they reach the application as they come, and mean nothing to the server.",
    )
    forwarded_allow_ips: tuple[str, ...] = option(
        ("127.0.0.1", "::1", "unix"),
        kind=types.PEERS,
        group=PROXIES,
        common_variable="FORWARDED_ALLOW_IPS",
        help="The trusted proxies, with commas between them: addresses, networks such as 10.0.0.0/8, unix (peers on "
        "Unix sockets), * (every peer), or none.",
    )
    forwarded_fields: tuple[str, ...] = option(
        ("x-forwarded-for", "x-forwarded-proto"),
        kind=types.FORWARDED_FIELDS,
        group=PROXIES,
        help="The fields that the trusted proxies set themselves, so that they are believed: some of x-forwarded-for, "
        "x-forwarded-proto, x-forwarded-host, x-forwarded-port, x-forwarded-prefix, script-name; or forwarded alone.",
    )
    forwarded_hops: int = option(
        0,
        kind=types.count(maximum=32),
        group=PROXIES,
        help="How many trusted proxies there are, one behind the other: the client is that entry of the list, from "
        "the right. 0: as many as forwarded_allow_ips names; with * it is 1.",
    )
    proxy: bool = option(
        False,
        kind=types.flag(),
        group=PROXIES,
        help="Each connection begins with a header of the PROXY protocol, version 1 or 2. Peers that aren't in "
        "forwarded_allow_ips are turned away. Mostly set for one address: '0.0.0.0:8000?proxy=on'.",
    )
    root_path: str = option(
        "",
        kind=types.ROOT_PATH,
        group=PROXIES,
        help="The path at which the application is, which the proxy cuts off: root_path in ASGI, SCRIPT_NAME in WSGI.",
    )
    request_id: str = option(
        "off",
        kind=types.one_of("off", "on", "echo"),
        group=PROXIES,
        help="on: the application gets each request with one X-Request-ID: that of the client or proxy if it is of at "
        "most 128 letters, digits and . _ : / + = @ ~ -, else a new one of 32 hexadecimal digits. echo: the response "
        "has it too.",
    )
    server_header: bool = option(
        True,
        kind=types.flag(),
        group=RESPONSES,
        help="Add Server: gracehttp to responses.",
    )
    date_header: bool = option(
        True,
        kind=types.flag(),
        group=RESPONSES,
        help="Add Date to responses.",
    )
    header: tuple[str, ...] = option(
        (),
        kind=types.HEADERS,
        group=RESPONSES,
        help="Add this field to every response, beside those of the application. Can be given again; a variable has "
        "one a line. Server: NAME stands instead of ours.",
    )

    def __post_init__(self) -> None:
        check_server(self)

    @property
    def tls(self) -> bool:
        """Whether this listener speaks TLS."""
        return self.bind.tls

    @property
    def asks_for_certificates(self) -> str:
        """`ssl_verify`, decided: `none`, `optional` or `required`."""
        if self.ssl_verify != "auto":
            return self.ssl_verify
        return "required" if self.ssl_ca is not None else "none"


@dataclass(frozen=True, slots=True)
class Configuration:
    """The options of the program and of its servers.

    `origins` says where each value comes from: under `workers`, and for a server under `servers.0.bind`. `mistyped`
    has the environment variables that were probably meant to be options, each with the one that it resembles.
    """

    process: ProcessOptions
    servers: tuple[ServerOptions, ...]
    origins: Mapping[str, str] = dataclasses.field(default_factory=dict)
    mistyped: tuple[tuple[str, str], ...] = ()
    hooks: tuple[tuple[str, object, str], ...] = ()
    """The events and functions of the table `[hooks]`, each with its place."""


def _options_of(model: type[ProcessOptions | ServerOptions], scope: Scope) -> Mapping[str, Option]:
    return MappingProxyType(
        {
            field.name: dataclasses.replace(
                field.metadata["option"],
                name=field.name,
                default=None if field.default is dataclasses.MISSING else field.default,
                scope=scope,
            )
            for field in dataclasses.fields(model)
        }
    )


EMBEDDED_OPTIONS: Final = (
    "lifespan", "threads", "warmup", "access_log", "log_probes", "live_path", "ready_path", "drain_timeout",
    "request_timeout",
)  # fmt: skip
"""The options of the program that have an effect without a supervisor."""

PROCESS_OPTIONS: Final = _options_of(ProcessOptions, Scope.PROCESS)
SERVER_OPTIONS: Final = _options_of(ServerOptions, Scope.SERVER)
OPTIONS: Final[Mapping[str, Option]] = MappingProxyType({**PROCESS_OPTIONS, **SERVER_OPTIONS})
ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {alias: name for name, option in OPTIONS.items() for alias in option.aliases}
)
"""The names of options that stand for another one, with that one."""
