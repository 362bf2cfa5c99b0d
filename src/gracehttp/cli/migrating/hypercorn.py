"""The options of hypercorn, by their names in its file and on its command line."""

from __future__ import annotations

from gracehttp.cli.migrating import plan as read
from gracehttp.cli.migrating.plan import Plan, Rule, Takes, without

_INSECURE = "--bind http://HOST:PORT"


def _worker_class(value: object, plan: Plan) -> object:
    if value in ("uvloop", "asyncio"):
        return value
    plan.remark(f"worker_class = {value!r}", "applications for trio aren't served; anyio runs on asyncio too")
    return None


def _log_config(value: object, plan: Plan) -> object:
    text = str(value)
    if text.startswith(("json:", "toml:")):
        return text.partition(":")[2]
    plan.remark(
        f"logconfig = {text!r}", "write it as JSON or TOML for dictConfig (log_config); the loggers are gracehttp.*"
    )
    return None


def _application(value: object, plan: Plan) -> object:
    for prefix in ("asgi:", "wsgi:"):
        if str(value).startswith(prefix):
            plan.set("interface", prefix[:-1])
            plan.app = str(value).removeprefix(prefix)
            return None
    plan.app = str(value)
    return None


def _root_path(value: object, plan: Plan) -> object:
    return read.text_or_none(value, plan)


RULES: tuple[Rule, ...] = (
    Rule("application_path", (), read=_application, write="app, the name of the application"),
    Rule("accesslog", ("--access-logfile", "--access-log"), "access_log_file", read=read.access_log),
    Rule("access_log_format", ("--access-logformat",), "access_log_format", read=read.access_format),
    Rule("backlog", ("--backlog",), "backlog", read=read.number),
    Rule("bind", ("-b", "--bind"), "bind", read=read.bind_with_port, repeatable=True),
    Rule("ca_certs", ("--ca-certs",), "ssl_ca"),
    Rule("certfile", ("--certfile",), "certfile"),
    Rule("cert_reqs", ("--cert-reqs",), "ssl_verify", read=read.verify_mode),
    Rule("verify_mode", ("--verify-mode",), "ssl_verify", read=read.verify_mode),
    Rule("ciphers", ("--ciphers",), "ssl_ciphers"),
    without("daemon", "run it under systemd or another manager, or with nohup", "-D", "--daemon", takes=Takes.NOTHING),
    Rule("debug", ("--debug",), "log_level", Takes.NOTHING, read=lambda value, plan: "debug" if value else None),
    Rule(
        "errorlog",
        ("--error-logfile", "--error-log", "--log-file"),
        "log_file",
        read=lambda value, plan: None if value in ("-", None) else value,
    ),
    Rule("graceful_timeout", ("--graceful-timeout",), "drain_timeout", read=read.seconds),
    Rule("read_timeout", ("--read-timeout",), "body_timeout", read=read.seconds_or_none),
    Rule("max_requests", ("--max-requests",), "max_requests", read=read.number_or_none),
    Rule("max_requests_jitter", ("--max-requests-jitter",), "max_requests_jitter", read=read.number_or_none),
    Rule(
        "group", ("-g", "--group"), "group", note="workers run as it too; in hypercorn only Unix sockets belong to it"
    ),
    Rule("user", ("-u", "--user"), "user", note="workers run as it too; in hypercorn only Unix sockets belong to it"),
    Rule("umask", ("-m", "--umask"), "umask", read=read.octal),
    Rule("worker_class", ("-k", "--worker-class"), "loop", read=_worker_class),
    Rule("keep_alive_timeout", ("--keep-alive",), "keep_alive_timeout", read=read.seconds_or_none),
    Rule("keyfile", ("--keyfile",), "keyfile"),
    Rule("keyfile_password", ("--keyfile-password",), "keyfile_password"),
    Rule("insecure_bind", ("--insecure-bind",), repeatable=True, read=lambda value, plan: None, write=_INSECURE),
    Rule("logconfig", ("--log-config",), "log_config", read=_log_config),
    without("logconfig_dict", "write it to a file of JSON or TOML for dictConfig (log_config)"),
    Rule("loglevel", ("--log-level",), "log_level", read=read.log_level),
    Rule("pid_path", ("-p", "--pid"), "pidfile"),
    without("quic_bind", "HTTP/3 is not spoken: let a proxy in front do it"),
    Rule("use_reloader", ("--reload",), "reload", Takes.NOTHING, read=read.true_or_none),
    Rule("root_path", ("--root-path",), "root_path", read=_root_path),
    without(
        "server_names", "the proxy in front, or the framework, refuses hosts that it doesn't know", "--server-name"
    ),
    without("statsd_host", "--metrics has the figures for Prometheus, whose statsd bridge passes them on"),
    without("statsd_prefix", quiet=True),
    without("dogstatsd_tags", quiet=True),
    Rule("websocket_ping_interval", ("--websocket-ping-interval",), "ws_ping_interval", read=read.seconds),
    Rule("websocket_max_message_size", (), "ws_max_size", read=read.number),
    Rule("workers", ("-w", "--workers"), "workers", read=read.number),
    Rule("include_server_header", (), "server_header", read=read.truth),
    Rule("include_date_header", (), "date_header", read=read.truth),
    Rule("h11_max_incomplete_size", (), "max_header_size", read=read.number),
    Rule("h2_max_concurrent_streams", (), "h2_max_concurrent_streams", read=read.number),
    without("alt_svc_headers", 'a field of every response: header = ["Alt-Svc: ..."]'),
    without("alpn_protocols", 'HTTP/2 is offered if it is installed (h2 = "off" for HTTP/1.1 alone)'),
    without("h2_max_header_list_size", "max_header_size is the limit, for both versions"),
    without("h2_max_inbound_frame_size", "the windows and buffers of HTTP/2 are the server's own"),
    without(
        "h11_pass_raw_headers", "names of fields reach ASGI applications in lower case, as the specification has it"
    ),
    Rule("startup_timeout", (), "ready_timeout", read=read.seconds),
    without("shutdown_timeout", "the lifespan shutdown is part of drain_timeout"),
    without("wsgi_max_body_size", "max_body_size is the limit, for ASGI too"),
    Rule("keep_alive_max_requests", (), note="requests on one connection aren't counted"),
    Rule("max_app_queue_size", (), quiet=True),
    Rule("proxy_mode", (), quiet=True),
)


def finish(plan: Plan) -> None:
    """What is to be said of defaults, and of options that were not given."""
    if not plan.options.get("max_requests"):
        plan.options.pop("max_requests_jitter", None)
    if insecure := plan.given.get("insecure_bind"):
        bound = plan.options.get("bind")
        binds = [bound] if isinstance(bound, str) else list(bound) if isinstance(bound, list) else []
        also = read.bind_with_port(insecure, plan)
        plan.options["bind"] = binds + [f"http://{one}" for one in ([also] if isinstance(also, str) else also or [])]  # type: ignore[attr-defined]  # a list of texts
    if "graceful_timeout" not in plan.given:
        plan.defaults.append('hypercorn cuts requests in flight after 3 s, gracehttp after 30 s; drain_timeout = "3s"')
    if "keep_alive_timeout" not in plan.given:
        plan.defaults.append(
            'hypercorn closes idle connections after 5 s, gracehttp after 75 s; keep_alive_timeout = "5s"'
        )
    plan.defaults.append(
        "hypercorn speaks HTTP/2 always; gracehttp with the extra gracehttp[h2], and in clear with h2c"
    )
    plan.defaults.append("SIGHUP restarts without a pause")
