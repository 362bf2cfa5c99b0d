"""The options of uvicorn."""

from __future__ import annotations

from gracehttp.cli.migrating import plan as read
from gracehttp.cli.migrating.plan import Plan, Rule, Takes, on_off, same, without
from gracehttp.observe.log_config import YAML_ENDINGS, json_of_yaml

_LOGGERS = "the loggers are gracehttp.*, not uvicorn.*"
OWN_PARSER = "the parser is the server's own: there is nothing to choose"


def _interface(value: object, plan: Plan) -> object:
    if value == "asgi2":
        plan.remark("interface = 'asgi2'", "wrap the application: asgiref.compatibility.guarantee_single_callable(app)")
        return None
    return {"asgi3": "asgi", "wsgi": "wsgi"}.get(str(value))


def _loop(value: object, plan: Plan) -> object:
    if value in ("uvloop", "asyncio"):
        return value
    if value != "auto":
        plan.remark(f"loop = {value!r}", "the loop is uvloop where it is installed, else asyncio (--loop)")
    return None


def _deflate(value: object, plan: Plan) -> object:
    return "on" if read.truth(value, plan) else None


def _http2(value: object, plan: Plan) -> object:
    if read.truth(value, plan):
        plan.remark("http2", "HTTP/2 over TLS needs the extra gracehttp[h2]; without TLS, --h2c")
        return "on"
    return None


def _peers(value: object, plan: Plan) -> object:
    text = read.list_of_peers(value, plan)
    if text == "*" and not plan.options.get("forwarded_hops"):
        plan.remark(
            "forwarded_allow_ips = '*'",
            "the client is the rightmost entry of X-Forwarded-For here, which the proxy has added; uvicorn takes the "
            "leftmost, which a client can choose. Behind several proxies name their networks instead, or give "
            "forwarded_hops",
        )
    return text


def _log_config(value: object, plan: Plan) -> object:
    path = str(value)
    if path.endswith((".json", ".toml")):
        return path
    left_out = "left out: the file must be JSON or TOML for dictConfig"
    how = f"{left_out}. {json_of_yaml(path)} makes JSON of it" if path.endswith(YAML_ENDINGS) else left_out
    plan.remark(f"log_config = {path!r}", f"{how}; {_LOGGERS}")
    return None


def _concurrency(value: object, plan: Plan) -> object:
    return read.number(value, plan)


RULES: tuple[Rule, ...] = (
    Rule("host", ("--host",), "host"),
    Rule("port", ("--port",), "port", read=read.number),
    Rule("uds", ("--uds",), "bind", read=lambda value, _: f"unix:{value}", write="--bind unix:PATH"),
    Rule("fd", ("--fd",), "bind", read=lambda value, _: f"fd://{value}", write="--bind fd://N"),
    Rule("reload", ("--reload",), "reload", Takes.NOTHING, read=read.true_or_none),
    Rule("reload_dir", ("--reload-dir", "--reload-dirs"), "reload_dir", repeatable=True),
    Rule("reload_include", ("--reload-include",), "reload_include", repeatable=True),
    Rule("reload_exclude", ("--reload-exclude",), "reload_exclude", repeatable=True),
    without("reload_delay", quiet=True),
    Rule("workers", ("--workers",), "workers", read=read.number),
    Rule("loop", ("--loop",), "loop", read=_loop),
    Rule(
        "http",
        ("--http",),
        note=OWN_PARSER,
        write="leave it out: the parser is the server's own, there is nothing to choose; --h2 and --h2c are for HTTP/2",
    ),
    Rule("http2", ("--http2",), "h2", Takes.NOTHING, read=_http2),
    without("ws", "WebSockets are always served, by code of the server's own"),
    Rule("ws_max_size", ("--ws-max-size",), "ws_max_size", read=read.number),
    without("ws_max_queue", "a client is read from only as far as the application takes messages"),
    Rule("ws_ping_interval", ("--ws-ping-interval",), "ws_ping_interval", read=read.seconds),
    Rule("ws_ping_timeout", ("--ws-ping-timeout",), "ws_ping_timeout", read=read.seconds),
    Rule("ws_per_message_deflate", ("--ws-per-message-deflate",), "ws_deflate", read=_deflate),
    same("lifespan"),
    Rule("interface", ("--interface",), "interface", read=_interface),
    Rule("env_file", ("--env-file",), "env_file"),
    Rule(
        "log_config",
        ("--log-config",),
        "log_config",
        read=_log_config,
        note=_LOGGERS,
    ),
    Rule("log_level", ("--log-level",), "log_level", read=read.log_level),
    *on_off("access_log", "access_log"),
    *on_off("use_colors", note="the variables NO_COLOR and FORCE_COLOR say it"),
    *on_off("proxy_headers", "proxy_headers"),
    *on_off("server_header", "server_header"),
    *on_off("date_header", "date_header"),
    Rule("forwarded_allow_ips", ("--forwarded-allow-ips",), "forwarded_allow_ips", read=_peers),
    same("root_path"),
    Rule(
        "limit_concurrency",
        ("--limit-concurrency",),
        "max_connections",
        read=_concurrency,
        note="max_connections counts connections over all workers, and the excess waits in the kernel's queue instead "
        "of getting a 503",
    ),
    same("backlog", read=read.number),
    Rule("limit_max_requests", ("--limit-max-requests",), "max_requests", read=read.number_or_none),
    Rule(
        "limit_max_requests_jitter", ("--limit-max-requests-jitter",), "max_requests_jitter", read=read.number_or_none
    ),
    Rule("timeout_keep_alive", ("--timeout-keep-alive",), "keep_alive_timeout", read=read.seconds_or_none),
    Rule("timeout_graceful_shutdown", ("--timeout-graceful-shutdown",), "drain_timeout", read=read.seconds),
    Rule("timeout_worker_healthcheck", ("--timeout-worker-healthcheck",), "hang_timeout", read=read.seconds),
    Rule("ssl_keyfile", ("--ssl-keyfile",), "keyfile"),
    Rule("ssl_certfile", ("--ssl-certfile",), "certfile"),
    Rule("ssl_keyfile_password", ("--ssl-keyfile-password",), "keyfile_password"),
    without("ssl_version", "TLS 1.2 and 1.3 are spoken"),
    Rule("ssl_cert_reqs", ("--ssl-cert-reqs",), "ssl_verify", read=read.verify_mode),
    Rule("ssl_ca_certs", ("--ssl-ca-certs",), "ssl_ca"),
    Rule("ssl_ciphers", ("--ssl-ciphers",), "ssl_ciphers"),
    Rule("header", ("--header",), "header", repeatable=True),
    Rule("headers", (), "header", repeatable=True),
    same("app_dir", read=read.text_or_none),
    Rule("h11_max_incomplete_event_size", ("--h11-max-incomplete-event-size",), "max_header_size", read=read.number),
    without(
        "reset_contextvars",
        "",
        takes=Takes.NOTHING,
        quiet=True,
    ),
    Rule("factory", ("--factory",), "factory", Takes.NOTHING, read=read.true_or_none),
)


def finish(plan: Plan) -> None:
    """What is to be said of defaults, and of options that were not given."""
    if "bind" in plan.options:
        plan.options.pop("host", None)
        plan.options.pop("port", None)
    if not plan.options.get("max_requests"):
        plan.options.pop("max_requests_jitter", None)
    if "access_log" not in plan.given and "access_log" not in plan.options:
        plan.options["access_log"] = True
        plan.defaults.append("uvicorn logs each request unless told otherwise; gracehttp does with access_log = true")
    if plan.options.get("access_log"):
        plan.defaults.append(
            'uvicorn logs requests to stdout, gracehttp to stderr with the rest; access_log_file = "-" is stdout. The '
            'lines look different; access_log_format = "combined" makes those that Apache and nginx write'
        )
    if "timeout_keep_alive" not in plan.given:
        plan.defaults.append(
            'uvicorn closes idle connections after 5 s, gracehttp after 75 s; keep_alive_timeout = "5s" does the same'
        )
    if "timeout_graceful_shutdown" not in plan.given:
        plan.defaults.append(
            "uvicorn waits for requests in flight without a limit, gracehttp cuts them after 30 s; drain_timeout says "
            "how long yours take"
        )
    if "ws_per_message_deflate" not in plan.given:
        plan.defaults.append('uvicorn compresses WebSocket messages; gracehttp with ws_deflate = "on", at a cost')
    plan.defaults.append("SIGTTIN and SIGTTOU add and remove a worker, as in uvicorn; SIGHUP restarts without a pause")
    plan.defaults.append("the variables UVICORN_... have no effect; GRACEHTTP_... are those of the options above")
