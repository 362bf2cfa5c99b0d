"""The keyword arguments of the programming interface, as type checkers and editors know them.

`docs/make_keywords.py` makes this module of the options in `config.model`. It is for type checkers alone: nothing
imports it when a program runs.
"""

from __future__ import annotations

import os
from typing import Literal, TypedDict


class ProgramKeywords(TypedDict, total=False):
    """The options of the whole program."""

    workers: int | None
    """Worker processes. Each runs the application; all accept from the same ports. Default: 1."""

    threads: int | None
    """Threads per worker that run a WSGI application. 0: it is called on the event loop, for applications that
    never wait. ASGI applications don't use them. Default: 8.
    """

    loop: Literal["auto", "uvloop", "asyncio"] | None
    """The event loop. auto: uvloop where it is installed, else asyncio. Default: auto."""

    preload: bool | None
    """Import the application once in each generation, and fork its workers from there: they start together, share
    memory, and one that crashes is replaced by the same code. A restart loads new code all the same. Default:
    false.
    """

    spare: Literal["auto", "on", "off"] | None
    """A spare process, which has loaded gracehttp and nothing of the application, forks the workers that start once
    a generation serves: a restart then takes little more than the application's import. auto: with two workers
    or more, which share its memory. A script has none. Default: auto.
    """

    lifespan: Literal["auto", "on", "off"] | None
    """The ASGI lifespan protocol. auto: if the application supports it; on: it must; off: not used. Default: auto."""

    warmup: str | list[str] | tuple[str, ...] | None
    """A request that a worker answers to itself before it counts as ready: a path, or a URL if host and scheme
    matter, such as https://example.com/info. A 5xx means not ready; a 3xx or 4xx is told. Default: none.
    """

    ready_timeout: float | str | None
    """The longest that a new worker may take until it is ready. After that the restart is given up, and what serves
    already serves on. Default: 1m.
    """

    request_timeout: float | str | None
    """The longest that an application may take for a request, from its head to the end of the response. Then the
    client gets 503, or if the response has begun, the connection is cut; an ASGI application is cancelled.
    WebSockets are left alone. 0s: no limit. Default: 0s.
    """

    hang_timeout: float | str | None
    """Replace a worker whose event loop hasn't turned for that long, or whose WSGI threads are all at the same
    requests for that long while others wait: a successor starts first, then where the worker hangs is logged,
    and it is ended. 0s: it isn't looked for. Default: 30s.
    """

    drain_timeout: float | str | None
    """The longest that requests in flight may take to end, at a restart or stop. Then they are cut. Default: 30s."""

    stop_delay: float | str | None
    """How long the service goes on after it was told to stop, before the drain. Meanwhile the ready path answers
    503, so that load balancers send elsewhere. A second signal forces. Default: 0s.
    """

    probation: float | str | None
    """After a restart, the old workers stand by for that long. If one of the new ones dies meanwhile, or hangs when
    that time is over, the old ones take over again, and the restart has failed. 0s: they go at once. Default:
    0s.
    """

    probation_max_errors: float | str | None
    """During the probation, the old workers take over again also if more than this share of the new ones' responses
    are server errors (5xx). none: responses aren't counted. Default: none.
    """

    max_requests: int | None
    """Replace a worker after that many requests: a successor starts first and takes its connections over. 0: never.
    Default: 0.
    """

    max_requests_jitter: int | None
    """A random number of requests up to this is added to max_requests, for each worker anew, so that they aren't
    replaced all at the same time. none: a tenth of max_requests. Default: none.
    """

    max_worker_age: float | str | None
    """Replace a worker after it has served for that long, and up to a tenth longer, by chance. 0s: never. Default:
    0s.
    """

    max_worker_memory: int | str | None
    """Replace a worker when it uses more memory than that. It is looked at after requests, at most once a second;
    on Linux only. Default: 0 (no limit).
    """

    app_dir: str | os.PathLike[str] | None
    """The folder from which the application is imported. Default: .."""

    chdir: str | os.PathLike[str] | None
    """Work in this folder, as if the command had been given there. Files named by --config and --env-file are found
    before that. Default: none.
    """

    env_file: str | os.PathLike[str] | list[str | os.PathLike[str]] | tuple[str | os.PathLike[str], ...] | None
    """A file with lines KEY=VALUE, for the environment of the application and for options. What the environment has
    already, stays. Workers read it when they start, so a restart brings new values. Can be given again; a later
    file wins. Default: none.
    """

    access_log: bool | None
    """Log each request, at the level info. Default: false."""

    access_log_format: str | None
    """How requests are logged. log: as the other lines of the log; common, combined; json, or json:FIELD,FIELD; or
    a format string with the atoms of gunicorn. All but log switch the access log on. Default: log.
    """

    access_log_file: str | os.PathLike[str] | None
    """Log requests to this file, not to where the rest of the log goes; -: to standard output. It is opened anew
    after a rotation, without a signal. Switches the access log on. Default: none.
    """

    access_log_exclude: str | list[str] | tuple[str, ...] | None
    """Leave requests for this path out of the access log; with * at its end, for all paths that begin so. Default:
    none.
    """

    log_file: str | os.PathLike[str] | None
    """Log to this file, not to standard error; -: to standard output. It is opened anew after a rotation, without a
    signal. Default: none.
    """

    log_config: str | os.PathLike[str] | None
    """A file for logging.config.dictConfig, as JSON or TOML, for the supervisor and each worker. Default: none."""

    log_level: Literal["debug", "info", "notice", "warning", "error", "critical"] | None
    """The least severe level that is logged. Default: info."""

    log_format: Literal["text", "json"] | None
    """text: a line to read; json: one object per line. Default: text."""

    proc_name: str | None
    """What ps shows in brackets after gracehttp: supervisor, template or worker. none: the application. Default:
    none.
    """

    user: str | None
    """Run workers and templates as this user (a name or a number), with its groups. The supervisor must be root,
    and stays it. Unix sockets belong to the user. Default: none.
    """

    group: str | None
    """Run workers and templates with this group (a name or a number). none: that of --user. Default: none."""

    umask: int | str | None
    """The umask of all processes, such as 027: which permissions the files that they make don't get. Default: none."""

    pidfile: str | os.PathLike[str] | None
    """Write the PID of the supervisor to this file. It stays the same through all restarts. Default: none."""

    control: str | os.PathLike[str] | None
    """The path of the control socket, for gracehttp restart, stop and status. none: an abstract name that holds the
    PID. Default: none.
    """

    metrics: str | None
    """Where metrics are served to Prometheus, such as 127.0.0.1:9090 or unix:PATH; any path there. none: nothing is
    counted. Default: none.
    """

    no_control: bool | None
    """Open no control socket; signals work all the same. Default: false."""

    fd_store: Literal["auto", "on", "off"] | None
    """Whether the service manager keeps the listening sockets, so that their queues live on when the supervisor is
    killed. auto: if it says that it would (systemd 254 with FileDescriptorStoreMax=). Default: auto.
    """

    live_path: str | None
    """A path at which the server itself answers 200 while the service lives, for Kubernetes and load balancers.
    none: each path is the application's; with --admin it is /livez there. Default: none.
    """

    ready_path: str | None
    """A path at which the server itself answers 200, and 503 once the service was told to stop. none: each path is
    the application's; with --admin it is /readyz there. Default: none.
    """

    log_probes: bool | None
    """Log requests for live_path and ready_path in the access log too. Default: false."""

    admin: str | None
    """An address of its own, HOST:PORT or unix:PATH, at which the supervisor answers live_path and ready_path, and
    /metrics; the ports of the application answer none of them then. For a private network: who can reach it is
    answered. Default: none.
    """

    agent_check: str | None
    """An address, HOST:PORT or unix:PATH, at which the supervisor tells HAProxy's agent-check its state, and its
    weight by the connections that it could still take. Default: none.
    """

    reload: bool | None
    """Restart when a file changes, and end within a second at Ctrl+C. Needs gracehttp[reload]. Default: false."""

    reload_dir: str | os.PathLike[str] | list[str | os.PathLike[str]] | tuple[str | os.PathLike[str], ...] | None
    """A folder to watch, with all that is in it. none: that of app_dir. Can be given again. Default: none."""

    reload_include: str | list[str] | tuple[str, ...] | None
    """Files to watch beside *.py, such as '*.html' or .env: by their name, or with a slash by their path. Can be
    given again. Default: none.
    """

    reload_exclude: str | list[str] | tuple[str, ...] | None
    """Files and folders not to watch, beside __pycache__, .git, node_modules, virtual environments and the like.
    Can be given again. Default: none.
    """

    reload_polling: bool | None
    """Look at the files at intervals, for folders of which the system tells no changes, as some of containers and
    networks. WATCHFILES_FORCE_POLLING=1 does that too. Default: false.
    """


class ServerKeywords(TypedDict, total=False):
    """The options of a server."""

    interface: Literal["auto", "asgi", "wsgi"] | None
    """What the application is written for. auto: found out from the application. Default: auto."""

    factory: bool | None
    """APP names a function that returns the application, and is called without arguments. A call with literal
    arguments, 'main:create_app("prod")', needs no --factory. Default: false.
    """

    startup: str | None
    """A function without parameters that each worker calls before it serves a WSGI application, such as
    main:startup. If it raises, the worker is not ready. ASGI applications have their lifespan instead. Default:
    none.
    """

    shutdown: str | None
    """As startup, called when the worker has answered its last request. Default: none."""

    host: str | None
    """With --port, another way to write --bind: a name or an address. none: 127.0.0.1, and 0.0.0.0 with $PORT.
    Default: none.
    """

    port: str | None
    """With --host, another way to write --bind. none: 8000. Default: none."""

    unix_mode: int | str | None
    """The permissions of Unix sockets, such as 660. none: as the umask says. Default: none."""

    backlog: int | None
    """How many connections may wait in the kernel's queue to be accepted. fd://N keeps that of its opener. Default:
    2048.
    """

    tcp_keepalive: float | str | None
    """After how much idle time the kernel probes whether a client still exists. One that doesn't answer within as
    long again is gone, as after an error. 0s: it never does. Default: 1m.
    """

    certfile: str | os.PathLike[str] | list[str | os.PathLike[str]] | tuple[str | os.PathLike[str], ...] | None
    """The certificate chain, in PEM. Makes each address speak TLS, except those with http://. Can be given again,
    with a keyfile for each: clients get the one for the name that they ask for (SNI), else the first. A variable
    has one path a line. Default: none.
    """

    keyfile: str | os.PathLike[str] | list[str | os.PathLike[str]] | tuple[str | os.PathLike[str], ...] | None
    """The private key, in PEM; of several, in the order of the certificates. none: each is in the file of its
    certificate. Default: none.
    """

    keyfile_password: str | None
    """The password of the private keys. Others can see the command line: better use the variable. Default: none."""

    ssl_ca: str | os.PathLike[str] | None
    """The authorities that client certificates must come from, in PEM. Default: none."""

    ssl_verify: Literal["auto", "none", "optional", "required"] | None
    """Whether clients are asked for a certificate. optional: they may have none; required: they must have one;
    auto: required if ssl_ca is given, else none. Default: auto.
    """

    ssl_crl: str | os.PathLike[str] | None
    """The list of client certificates that were revoked (CRL), in PEM, of the authority that has issued them.
    Default: none.
    """

    ssl_min_version: Literal["1.2", "1.3"] | None
    """The oldest version of TLS that is spoken: 1.2 or 1.3. Default: 1.2."""

    ssl_ciphers: str | None
    """The cipher suites of TLS 1.2, as in openssl-ciphers(1); those of TLS 1.3 are OpenSSL's. none: those with
    forward secrecy and authenticated encryption. Default: none.
    """

    ssl_groups: str | None
    """The groups for the key exchange, in the order of preference, such as X25519:P-256. none: those of OpenSSL.
    Default: none.
    """

    tls_handover: bool | None
    """At a restart, connections that speak HTTP/1.1 over TLS 1.3 go to the new workers too, without a new
    handshake. Both generations must have this option. Needs the package cryptography: pip install
    'gracehttp[tls-handover]'. Default: false.
    """

    max_connections: int | None
    """The most connections that are open on the address, over all workers and through restarts. The excess waits in
    the kernel's queue. Default: 100000.
    """

    shed_idle_after: float | str | None
    """When max_connections are open and others wait, connections that have been idle for that long are closed to
    make room, one for each that waits, the longest idle first. 0s: none is. Default: 5s.
    """

    keep_alive_timeout: float | str | None
    """How long a connection may be idle between two requests. Default: 1m15s."""

    header_timeout: float | str | None
    """The longest that a TLS handshake may take, and then the head of a request to arrive. Default: 10s."""

    body_timeout: float | str | None
    """The longest wait for the next piece of a request body, or for a client to read on. Default: 30s."""

    max_header_size: int | str | None
    """The largest head of a request: request line and header fields. Default: 64k."""

    max_body_size: int | str | None
    """The largest body of a request. Default: 0 (no limit)."""

    h2: Literal["auto", "on", "off"] | None
    """Whether HTTP/2 is offered over TLS (ALPN). auto: if its library is installed (gracehttp[h2]). Default: auto."""

    h2c: bool | None
    """Speak HTTP/2 without TLS too, with clients that know it beforehand or ask for it by Upgrade. Meant for
    proxies in front. Default: false.
    """

    h2_max_concurrent_streams: int | None
    """How many requests a client may have in flight on one connection. Default: 100."""

    ws_max_size: int | str | None
    """The largest message of a client, after inflating. A larger one closes the WebSocket with 1009. 0: no limit.
    Default: 16M.
    """

    ws_ping_interval: float | str | None
    """How long after the last answered ping the next one is sent. 0s: none is sent. Default: 20s."""

    ws_ping_timeout: float | str | None
    """How long a client may take to answer a ping. Then the WebSocket is closed. 0s: for ever. Default: 20s."""

    ws_deflate: Literal["off", "on"] | None
    """Whether messages are compressed (permessage-deflate) with clients that offer it. It costs memory for each
    WebSocket, see docs/websockets.md. Default: off.
    """

    ws_deflate_window_bits: int | None
    """With ws_deflate: the largest window of the compression, as a power of two. Default: 12."""

    ws_deflate_memory_level: int | None
    """With ws_deflate: how much memory the compression may use besides its window. Default: 5."""

    ws_goodbye: float | str | None
    """How long the application has to end its WebSockets itself after it has heard of a drain. Then the server
    closes them with 1012, not all at once. Default: 5s.
    """

    proxy_headers: bool | None
    """Believe trusted proxies what they say of their clients in header fields, and remove such fields from requests
    of all others. Without it they reach the application as they come, and mean nothing to the server. Default:
    true.
    """

    forwarded_allow_ips: str | list[str] | tuple[str, ...] | None
    """The trusted proxies, with commas between them: addresses, networks such as 10.0.0.0/8, unix (peers on Unix
    sockets), * (every peer), or none. Default: 127.0.0.1,::1,unix.
    """

    forwarded_fields: str | list[str] | tuple[str, ...] | None
    """The fields that the trusted proxies set themselves, so that they are believed: some of x-forwarded-for,
    x-forwarded-proto, x-forwarded-host, x-forwarded-port, x-forwarded-prefix, script-name; or forwarded alone.
    Default: x-forwarded-for,x-forwarded-proto.
    """

    forwarded_hops: int | None
    """How many trusted proxies there are, one behind the other: the client is that entry of the list, from the
    right. 0: as many as forwarded_allow_ips names; with * it is 1. Default: 0.
    """

    proxy: bool | None
    """Each connection begins with a header of the PROXY protocol, version 1 or 2. Peers that aren't in
    forwarded_allow_ips are turned away. Mostly set for one address: '0.0.0.0:8000?proxy=on'. Default: false.
    """

    root_path: str | None
    """The path at which the application is, which the proxy cuts off: root_path in ASGI, SCRIPT_NAME in WSGI.
    Default: none.
    """

    request_id: Literal["off", "on", "echo"] | None
    """on: the application gets each request with one X-Request-ID: that of the client or proxy if it is of at most
    128 letters, digits and . _ : / + = @ ~ -, else a new one of 32 hexadecimal digits. echo: the response has it
    too. Default: off.
    """

    server_header: bool | None
    """Add Server: gracehttp to responses. Default: true."""

    date_header: bool | None
    """Add Date to responses. Default: true."""

    header: str | list[str] | tuple[str, ...] | None
    """Add this field to every response, beside those of the application. Can be given again; a variable has one a
    line. Server: NAME stands instead of ours. Default: none.
    """


class RunKeywords(ProgramKeywords, ServerKeywords, total=False):
    """The options of both: of `gracehttp.run`."""


class EmbeddedKeywords(ServerKeywords, total=False):
    """The options of `serving` and `running`."""

    lifespan: Literal["auto", "on", "off"] | None
    """The ASGI lifespan protocol. auto: if the application supports it; on: it must; off: not used. Default: auto."""

    threads: int | None
    """Threads per worker that run a WSGI application. 0: it is called on the event loop, for applications that
    never wait. ASGI applications don't use them. Default: 8.
    """

    warmup: str | list[str] | tuple[str, ...] | None
    """A request that a worker answers to itself before it counts as ready: a path, or a URL if host and scheme
    matter, such as https://example.com/info. A 5xx means not ready; a 3xx or 4xx is told. Default: none.
    """

    access_log: bool | None
    """Log each request, at the level info. Default: false."""

    log_probes: bool | None
    """Log requests for live_path and ready_path in the access log too. Default: false."""

    live_path: str | None
    """A path at which the server itself answers 200 while the service lives, for Kubernetes and load balancers.
    none: each path is the application's; with --admin it is /livez there. Default: none.
    """

    ready_path: str | None
    """A path at which the server itself answers 200, and 503 once the service was told to stop. none: each path is
    the application's; with --admin it is /readyz there. Default: none.
    """

    drain_timeout: float | str | None
    """The longest that requests in flight may take to end, at a restart or stop. Then they are cut. Default: 30s."""

    request_timeout: float | str | None
    """The longest that an application may take for a request, from its head to the end of the response. Then the
    client gets 503, or if the response has begun, the connection is cut; an ASGI application is cancelled.
    WebSockets are left alone. 0s: no limit. Default: 0s.
    """
