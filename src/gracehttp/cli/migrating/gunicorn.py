"""The settings of gunicorn, by their names in its file and on its command line, and its hooks."""

from __future__ import annotations

from gracehttp.cli.migrating import plan as read
from gracehttp.cli.migrating.plan import Plan, Rule, Takes, without

LIFESPAN = "for ASGI that belongs into the lifespan of the application, which each worker runs"
WORKER = "what each worker needs is made when the application is imported, or in its lifespan (ASGI)"
_START = "or the lifespan (ASGI), or --startup module:function (WSGI)"
_END = "or the end of the lifespan (ASGI), or --shutdown module:function (WSGI)"
SUPERVISOR = "the supervisor runs no code of yours; put it before `gracehttp serve` in the unit or the entry point"

_ASGI_CLASSES = ("uvicorn", "asgi", "hypercorn")
_SCHEME_FIELDS = {"x-forwarded-proto": "https"}


def _worker_class(value: object, plan: Plan) -> object:
    name = value if isinstance(value, str) else str(value)
    short = name.rpartition(".")[2].lower()
    threads = read.number(plan.given.get("threads", 1), plan)
    if any(word in name.lower() for word in _ASGI_CLASSES):
        plan.set("interface", "asgi")
        plan.options.pop("threads", None)
        return None
    plan.set("interface", "wsgi")
    if short in ("sync", "syncworker", "gthread", "threadworker"):
        plan.set("threads", threads)
        if threads == 1:
            plan.remark(
                f"worker_class = {name!r}",
                "one request at a time in each worker (threads = 1): the others of a worker wait for it, and if it "
                "takes longer than hang_timeout while one waits, the worker is replaced. If the application is "
                "thread-safe, more threads (threads = 8 is the default) answer meanwhile",
            )
        return None
    if short in ("gevent", "eventlet", "geventworker", "eventletworker", "geventpywsgiworker", "tornado"):
        plan.set("threads", max(int(str(threads)), 32))
        plan.remark(
            f"worker_class = {name!r}",
            "requests run on threads instead of greenlets: take monkey-patching out, and as many threads as requests "
            "wait at once (threads, up to 1024)",
        )
        return None
    plan.remark(f"worker_class = {name!r}", "gracehttp has its own workers, for ASGI and WSGI")
    return None


def _threads(value: object, plan: Plan) -> object:
    del value, plan
    return None  # with the worker class


def _timeout(value: object, plan: Plan) -> object:
    return read.seconds(value, plan)  # what it means here, `_explain_timeout` says


def _explain_timeout(plan: Plan) -> None:
    """gunicorn's timeout is how long a worker may be silent. A sync worker is silent during a request; all others
    tell of themselves meanwhile (https://docs.gunicorn.org/en/stable/settings.html#timeout)."""
    given = "timeout" in plan.given
    seconds = plan.options.get("hang_timeout") if given else 30
    if not seconds:
        return
    shown = f"timeout = {plan.given['timeout']}" if given else "timeout (30 s)"
    hang = "hang_timeout replaces a worker that hangs: "
    if plan.options.get("interface") == "asgi":
        text = (
            f"{hang}whose event loop doesn't turn. Requests may take longer, as in gunicorn; request_timeout limits "
            "them"
        )
    elif plan.options.get("threads") == 1:
        text = (
            "gunicorn kills a sync worker whose request takes longer, and its client gets nothing. Here "
            f"{hang}one long request is enough for that as soon as another one waits. To end each request that takes "
            f'longer, with 503, add request_timeout = "{seconds}s"; it counts the wait for the thread too, and the '
            "code runs on, since a thread can't be ended"
        )
    else:
        text = (
            f"{hang}whose threads are all at the same requests for that long while others wait, or whose event loop "
            "doesn't turn. A single request may take longer, as in gunicorn; request_timeout limits it"
        )
    if given:
        plan.remark(shown, text)
    elif plan.options.get("threads") == 1:
        plan.defaults.append(f"{shown}: {text}")


def _keepalive(value: object, plan: Plan) -> object:
    number = read.number(value, plan)
    if number == 0:
        plan.remark("keepalive = 0", "connections are always kept; a short keep_alive_timeout comes near")
        return None
    return number


def _access_format(value: object, plan: Plan) -> object:
    if not (plan.given.get("accesslog")):
        return None
    return read.access_format(value, plan)


def _error_log(value: object, plan: Plan) -> object:
    del plan
    return None if value in (None, "", "-", "/dev/stderr", "/dev/stdout") else value


def _account(value: object, plan: Plan) -> object:
    del plan
    return None if value in (None, 0, "0", "root", "") else str(value)


def _raw_env(value: object, plan: Plan) -> object:
    texts = [value] if isinstance(value, str) else list(value) if isinstance(value, (list, tuple)) else []
    for text in texts:
        plan.remark(f"raw_env {str(text).partition('=')[0]}", "put it into a file for env_file, as below")
        plan.environment.append(str(text))
    return None


def _pythonpath(value: object, plan: Plan) -> object:
    first, _, rest = str(value).partition(",")
    if rest:
        plan.remark(f"pythonpath = {value!r}", "app_dir takes one folder; put the others into PYTHONPATH")
    return first or None


def _proxy_protocol(value: object, plan: Plan) -> object:
    return True if str(value).lower() not in ("off", "false", "none", "") else None


def _cleartext(value: object, plan: Plan) -> bool | None:
    ways = str(value).lower()
    if ways in ("prior-knowledge", "upgrade"):
        plan.remark("http2_cleartext", "h2c takes both ways to HTTP/2 in clear text, prior knowledge and Upgrade")
    elif ways not in ("off", "both"):
        plan.remark("http2_cleartext", f"left out: gunicorn knows no {value!r}")
        return None
    return ways != "off"


def _protocols(value: object, plan: Plan) -> object:
    text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    if "h2" in text:
        plan.remark(f"http_protocols = {text!r}", "HTTP/2 needs the extra gracehttp[h2]")
        return "auto"
    return "off"


def _scheme_headers(value: object, plan: Plan) -> object:
    fields = {str(name).lower(): text for name, text in value.items()} if isinstance(value, dict) else {}
    if not fields.items() <= _SCHEME_FIELDS.items():
        plan.remark(
            "secure_scheme_headers",
            "the scheme comes from X-Forwarded-Proto or Forwarded of a trusted proxy: have the proxy set that one",
        )
    return None


def _app(value: object, plan: Plan) -> object:
    plan.app = plan.app or str(value or "")
    return None


def _class_note(value: object, plan: Plan) -> object:
    if "gunicorn.glogging.Logger" not in str(value):
        plan.remark(f"logger_class = {value}", "loggers are configured by log_config (dictConfig)")
    return None


def _umask(value: object, plan: Plan) -> object:
    if isinstance(value, str) and value.isalnum():  # 022 is octal there, and 22 is decimal
        value = int(value, 8 if value[:1] == "0" and value.isdecimal() else 0)
    return read.octal(value, plan)


def _chdir(value: object, plan: Plan) -> object:
    del plan
    return value if value not in (".", "", None) else None


def _hook(name: str, note: str, event: str = "") -> Rule:
    return Rule(name, note=note, hook=event)


RULES: tuple[Rule, ...] = (
    Rule("wsgi_app", (), read=_app, write="app, the name of the application"),
    Rule("bind", ("-b", "--bind"), "bind", read=read.bind_with_port, repeatable=True),
    Rule("backlog", ("--backlog",), "backlog", read=read.number),
    Rule("workers", ("-w", "--workers"), "workers", read=read.number),
    Rule(
        "worker_class",
        ("-k", "--worker-class"),
        read=_worker_class,
        write="leave it out: whether the application is ASGI or WSGI is found out, and --threads are for WSGI",
    ),
    Rule("threads", ("--threads",), "threads", read=_threads),
    without(
        "worker_connections",
        "max_connections counts the connections of an address over all workers; the excess waits in the kernel's queue",
    ),
    Rule("max_requests", ("--max-requests",), "max_requests", read=read.number_or_none),
    Rule("max_requests_jitter", ("--max-requests-jitter",), "max_requests_jitter", read=read.number_or_none),
    Rule(
        "timeout",
        ("-t", "--timeout"),
        "hang_timeout",
        read=_timeout,
        write="--hang-timeout for a worker that hangs, --request-timeout for a request that takes too long",
    ),
    Rule("graceful_timeout", ("--graceful-timeout",), "drain_timeout", read=read.seconds),
    Rule("keepalive", ("--keep-alive",), "keep_alive_timeout", read=_keepalive),
    Rule("asgi_loop", ("--asgi-loop",), "loop", read=lambda value, plan: value if value != "auto" else None),
    Rule("asgi_lifespan", ("--asgi-lifespan",), "lifespan"),
    without("asgi_disconnect_grace_period", quiet=True),
    Rule("websocket_max_message_size", ("--websocket-max-message-size",), "ws_max_size", read=read.number),
    without("http_parser", quiet=True),
    Rule("limit_request_line", ("--limit-request-line",), note="the whole head is limited, by max_header_size (64k)"),
    without("limit_request_fields", "the whole head is limited, by max_header_size (64k)"),
    Rule(
        "limit_request_field_size",
        ("--limit-request-field_size", "--limit-request-field-size"),
        note="the whole head is limited, by max_header_size (64k)",
    ),
    Rule("preload_app", ("--preload",), "preload", Takes.NOTHING, read=read.true_or_none),
    without(
        "sendfile",
        "files are sent by sendfile(2) where the application asks for it",
        "--no-sendfile",
        takes=Takes.NOTHING_FALSE,
        quiet=True,
    ),
    without(
        "reuse_port",
        "all workers accept from one queue, so that a restart loses no connection that waits; it is not needed",
        takes=Takes.NOTHING,
    ),
    Rule("chdir", ("--chdir",), "chdir", read=_chdir),
    without("daemon", "run it under systemd or another manager, or with nohup", "-D", "--daemon", takes=Takes.NOTHING),
    Rule(
        "raw_env",
        ("-e", "--env"),
        read=_raw_env,
        repeatable=True,
        write="write the variable into a file, a line NAME=VALUE, and name that file by --env-file",
    ),
    Rule("pidfile", ("-p", "--pid"), "pidfile", read=read.text_or_none),
    without("worker_tmp_dir", "workers beat their heart over a socket: it is not needed"),
    Rule("user", ("-u", "--user"), "user", read=_account),
    Rule("group", ("-g", "--group"), "group", read=_account),
    Rule("umask", ("-m", "--umask"), "umask", read=_umask),
    without("initgroups", "workers always have the groups of their user", takes=Takes.NOTHING),
    without("tmp_upload_dir", "bodies are streamed to the application: nothing is stored on the way"),
    Rule(
        "secure_scheme_headers",
        (),
        read=_scheme_headers,
        write="the scheme comes from X-Forwarded-Proto or Forwarded of a peer in --forwarded-allow-ips",
    ),
    Rule("forwarded_allow_ips", ("--forwarded-allow-ips",), "forwarded_allow_ips", read=read.list_of_peers),
    Rule("pythonpath", ("--pythonpath",), "app_dir", read=_pythonpath),
    without("paste", "name a module that makes the application: loadapp() of PasteDeploy there", "--paste", "--paster"),
    without("raw_paste_global_conf", "see paste", "--paste-global"),
    Rule("proxy_protocol", ("--proxy-protocol",), "proxy", Takes.NOTHING, read=_proxy_protocol),
    without(
        "proxy_allow_ips",
        "peers that may send the PROXY protocol are those of forwarded_allow_ips",
        "--proxy-allow-from",
    ),
    without("protocol", "HTTP is spoken; uwsgi is not: have the proxy in front use proxy_pass"),
    without("uwsgi_allow_ips", "", "--uwsgi-allow-from", quiet=True),
    without("permit_obsolete_folding", "requests are read strictly", takes=Takes.NOTHING),
    without("strip_header_spaces", "requests are read strictly", takes=Takes.NOTHING),
    without("permit_unconventional_http_method", "any token is a method", takes=Takes.NOTHING, quiet=True),
    without("permit_unconventional_http_version", "requests are read strictly", takes=Takes.NOTHING),
    without("casefold_http_method", "methods are case-sensitive (RFC 9110)", takes=Takes.NOTHING),
    without("forwarder_headers", "forwarded_fields names the fields that a trusted proxy sets"),
    without("header_map", "fields whose name has an underscore don't reach WSGI applications"),
    Rule("root_path", ("--root-path",), "root_path", read=read.text_or_none),
    Rule("accesslog", ("--access-logfile",), "access_log_file", read=read.access_log),
    Rule("access_log_format", ("--access-logformat",), "access_log_format", read=_access_format),
    without("disable_redirect_access_to_syslog", quiet=True, takes=Takes.NOTHING),
    Rule("errorlog", ("--error-logfile", "--log-file"), "log_file", read=_error_log),
    Rule("loglevel", ("--log-level",), "log_level", read=read.log_level),
    without("capture_output", "workers write to the supervisor's stdout and stderr anyway", takes=Takes.NOTHING),
    Rule("logger_class", ("--logger-class",), read=_class_note, write="--log-config configures the loggers"),
    without(
        "logconfig", "write it as JSON or TOML for dictConfig (log_config); the loggers are gracehttp.*", "--log-config"
    ),
    without("logconfig_dict", "write it to a file of JSON or TOML for dictConfig (log_config)"),
    Rule("logconfig_json", ("--log-config-json",), "log_config", note="the loggers are gracehttp.*, not gunicorn.*"),
    without(
        "syslog",
        "the log goes to stderr: systemd and Docker pass it on; or logging.handlers.SysLogHandler",
        "--log-syslog",
        takes=Takes.NOTHING,
    ),
    without("syslog_addr", "see syslog", "--log-syslog-to"),
    without("syslog_prefix", "", "--log-syslog-prefix", quiet=True),
    without("syslog_facility", "", "--log-syslog-facility", quiet=True),
    without("enable_stdio_inheritance", "", "-R", "--enable-stdio-inheritance", quiet=True, takes=Takes.NOTHING),
    without("statsd_host", "--metrics has the figures for Prometheus, whose statsd bridge passes them on"),
    without("dogstatsd_tags", quiet=True),
    without("statsd_prefix", quiet=True),
    without("enable_backlog_metric", quiet=True, takes=Takes.NOTHING),
    Rule("proc_name", ("-n", "--name"), "proc_name", read=read.text_or_none),
    without("default_proc_name", quiet=True),
    Rule("keyfile", ("--keyfile",), "keyfile", read=read.text_or_none),
    Rule("certfile", ("--certfile",), "certfile", read=read.text_or_none),
    without("ssl_version", "TLS 1.2 and 1.3 are spoken"),
    Rule("cert_reqs", ("--cert-reqs",), "ssl_verify", read=read.verify_mode),
    Rule("ca_certs", ("--ca-certs",), "ssl_ca", read=read.text_or_none),
    without("suppress_ragged_eofs", quiet=True),
    without("do_handshake_on_connect", quiet=True, takes=Takes.NOTHING),
    Rule("ciphers", ("--ciphers",), "ssl_ciphers", read=read.text_or_none),
    Rule("http_protocols", ("--http-protocols",), "h2", read=_protocols),
    Rule("http2_cleartext", ("--http2-cleartext",), "h2c", read=_cleartext),
    Rule(
        "http2_max_concurrent_streams",
        ("--http2-max-concurrent-streams",),
        "h2_max_concurrent_streams",
        read=read.number,
    ),
    without("http2_initial_window_size", "the windows and buffers of HTTP/2 are the server's own"),
    without("http2_max_frame_size", "the windows and buffers of HTTP/2 are the server's own"),
    without("http2_max_header_list_size", "max_header_size is the limit, for both versions"),
    Rule("reload", ("--reload",), "reload", Takes.NOTHING, read=read.true_or_none),
    without("reload_engine", quiet=True),
    Rule("reload_extra_files", ("--reload-extra-file",), "reload_include", repeatable=True),
    without("spew", "python -X faulthandler, py-spy and sys.settrace tell what runs", takes=Takes.NOTHING),
    without("check_config", "gracehttp check does it", takes=Takes.NOTHING),
    without("print_config", "gracehttp check shows what each option amounts to", takes=Takes.NOTHING),
    Rule("control_socket", ("--control-socket",), "control", note="it is asked by gracehttp restart, stop and status"),
    without("control_socket_mode", "it is root's, or that of the user who runs the supervisor: 600"),
    Rule("control_socket_disable", ("--no-control-socket",), "no_control", Takes.NOTHING, read=read.true_or_none),
    *(
        without(f"dirty_{name}", "processes for heavy work beside the workers are the matter of a task queue", flag)
        for name, flag in (
            ("apps", "--dirty-app"),
            ("workers", "--dirty-workers"),
            ("timeout", "--dirty-timeout"),
            ("threads", "--dirty-threads"),
            ("graceful_timeout", "--dirty-graceful-timeout"),
        )
    ),
    _hook("on_starting", SUPERVISOR),
    _hook("on_reload", "it ran at a SIGHUP; here new code is imported by new workers at each restart"),
    _hook(
        "when_ready",
        "generation_promoted in [hooks] (docs/hooks.md); sd_notify and --pidfile tell that it serves too",
        "generation_promoted",
    ),
    _hook("pre_fork", WORKER),
    _hook(
        "post_fork",
        f"worker_forked (with --preload) or worker_serving in [hooks] (docs/hooks.md), {_START}",
        "worker_serving",
    ),
    _hook("post_worker_init", f"worker_serving in [hooks] (docs/hooks.md), {_START}", "worker_serving"),
    _hook("worker_int", LIFESPAN),
    _hook("worker_abort", "a worker that hangs writes down where before it is killed"),
    _hook("pre_exec", "USR2 tries the new supervisor before it replaces itself; nothing of yours runs there"),
    _hook("pre_request", "a middleware of the application does it"),
    _hook("post_request", "a middleware of the application, or the access log, does it"),
    _hook(
        "child_exit",
        "worker_exited in [hooks], such as for prometheus_client.multiprocess.mark_process_dead (docs/hooks.md)",
        "worker_exited",
    ),
    _hook("worker_exit", f"worker_ending in [hooks] (docs/hooks.md), {_END}", "worker_ending"),
    _hook("nworkers_changed", "gracehttp status tells how many there are"),
    _hook("on_exit", SUPERVISOR),
    _hook("ssl_context", "certificates are read from files, and anew when these change; each name (SNI) can have one"),
    *(
        _hook(name, "see dirty_apps")
        for name in ("on_dirty_starting", "dirty_post_fork", "dirty_worker_init", "dirty_worker_exit")
    ),
)


def finish(plan: Plan) -> None:
    """What is to be said of defaults, and of options that were not given."""
    if "worker_class" not in plan.given:
        threads = read.number(plan.given.get("threads", 1), plan)
        plan.given["worker_class"] = "sync" if threads == 1 else "gthread"
        _worker_class(plan.given["worker_class"], plan)
    _explain_timeout(plan)
    if plan.options.get("preload"):
        # After the fork, as there; worker_serving comes when the worker is warm.
        plan.hooks = [("worker_forked" if name == "post_fork" else event, name) for event, name in plan.hooks]
    if not plan.options.get("max_requests"):
        plan.options.pop("max_requests_jitter", None)
    if "reload_include" in plan.options and "reload" not in plan.options:
        plan.options.pop("reload_include")
    plan.defaults.append(
        "SIGUSR1 reopens logs in gunicorn, and RESTARTS here: take it out of logrotate, whose copytruncate (or a log "
        "that systemd or Docker keeps) does without"
    )
    plan.defaults.append(
        "SIGHUP restarts in both. gunicorn ends its workers without waiting for the new ones; here the old ones serve "
        "until the new ones are ready. SIGUSR2 replaces the supervisor in its own PID: no second master, no WINCH"
    )
    plan.defaults.append(
        "a field SCRIPT_NAME of a trusted proxy says nothing here, and gunicorn cuts it off the path. Have the proxy "
        "cut the path off, and name it by root_path, or by the field X-Forwarded-Prefix and in forwarded_fields"
    )
    if "keepalive" not in plan.given:
        plan.defaults.append(
            "gunicorn closes idle connections after 2 s, gracehttp after 75 s, since a proxy in front must not keep "
            'them longer; keep_alive_timeout = "2s" does the same'
        )
    if "accesslog" not in plan.given:
        plan.defaults.append("neither logs requests unless told to (access_log = true)")
    limit = (
        ""
        if "graceful_timeout" in plan.given
        else "requests in flight may take 30 s at a stop in both (drain_timeout); "
    )
    plan.defaults.append(f"{limit}a second SIGTERM cuts requests in flight here")
    plan.defaults.append("GUNICORN_CMD_ARGS and gunicorn.conf.py in the working folder are not read any more")
