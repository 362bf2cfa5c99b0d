"""The options of granian."""

from __future__ import annotations

from gracehttp.cli.migrating import plan as read
from gracehttp.cli.migrating.plan import Plan, Rule, Takes, on_off, without
from gracehttp.cli.migrating.uvicorn import _loop

_WINDOWS = "the windows and buffers of HTTP/2 are the server's own"


def _interface(value: object, plan: Plan) -> object:
    match value:
        case "asginl":
            plan.set("lifespan", "off")
            return "asgi"
        case "rsgi":
            plan.remark("interface = 'rsgi'", "RSGI is granian's own: serve the application as ASGI or WSGI")
            return None
    return value


def _http(value: object, plan: Plan) -> object:
    if value == "2":
        plan.remark("http = '2'", "HTTP/2 alone can't be asked for; over TLS it is negotiated (extra gracehttp[h2])")
        return True
    if value == "1":
        plan.set("h2", "off")
    return None


def _keep_alive(value: object, plan: Plan) -> object:
    if not read.truth(value, plan):
        plan.remark("http1_keep_alive = False", "connections are always kept; a short keep_alive_timeout comes near")
    return None


def _milliseconds(value: object, plan: Plan) -> object:
    number = read.number(value, plan)
    return f"{number}ms" if isinstance(number, int) else number


def _mebibytes(value: object, plan: Plan) -> object:
    del plan
    return f"{value}M"


RULES: tuple[Rule, ...] = (
    Rule("host", ("--host",), "host"),
    Rule("port", ("--port",), "port", read=read.number),
    Rule("uds", ("--uds",), "bind", read=lambda value, _: f"unix:{value}", write="--bind unix:PATH"),
    Rule("uds_permissions", ("--uds-permissions",), "unix_mode", read=read.octal),
    Rule("interface", ("--interface",), "interface", read=_interface),
    Rule("http", ("--http",), "h2c", read=_http),
    *on_off("ws", note="WebSockets are always served"),
    Rule("workers", ("--workers",), "workers", read=read.number),
    Rule("blocking_threads", ("--blocking-threads",), "threads", read=read.number),
    without("blocking_threads_idle_timeout", quiet=True),
    without("runtime_threads", "there is no runtime beside Python: only workers and, for WSGI, threads count"),
    without("runtime_blocking_threads", "there is no runtime beside Python"),
    without("runtime_mode", "there is no runtime beside Python"),
    Rule("loop", ("--loop",), "loop", read=_loop),
    without("task_impl", quiet=True),
    Rule("backlog", ("--backlog",), "backlog", read=read.number),
    without(
        "backpressure",
        "the most requests of a worker: for WSGI that is --threads, for all max_connections, which counts connections "
        "over all workers",
    ),
    Rule("http1_buffer_size", ("--http1-buffer-size",), "max_header_size", read=read.number),
    Rule("http1_header_read_timeout", ("--http1-header-read-timeout",), "header_timeout", read=_milliseconds),
    Rule("http1_keep_alive", ("--http1-keep-alive",), takes=Takes.NOTHING, read=_keep_alive),
    Rule("http1_keep_alive", ("--no-http1-keep-alive",), takes=Takes.NOTHING_FALSE, read=_keep_alive),
    *on_off("http1_pipeline_flush", quiet=True),
    *on_off("http2_adaptive_window", note=_WINDOWS),
    without("http2_initial_connection_window_size", _WINDOWS),
    without("http2_initial_stream_window_size", _WINDOWS),
    without("http2_keep_alive_interval", "HTTP/2 connections are closed when they are idle for keep_alive_timeout"),
    without("http2_keep_alive_timeout", "HTTP/2 connections are closed when they are idle for keep_alive_timeout"),
    Rule(
        "http2_max_concurrent_streams",
        ("--http2-max-concurrent-streams",),
        "h2_max_concurrent_streams",
        read=read.number,
    ),
    without("http2_max_frame_size", _WINDOWS),
    without("http2_max_headers_size", "max_header_size is the limit, for both versions"),
    without("http2_max_send_buffer_size", _WINDOWS),
    *on_off("log", note='the log can\'t be switched off; log_level = "error" comes near'),
    Rule("log_level", ("--log-level",), "log_level", read=read.log_level),
    Rule("log_config", ("--log-config",), "log_config", note="the loggers are gracehttp.*, not _granian"),
    *on_off("access_log", "access_log"),
    Rule(
        "access_log_fmt",
        ("--access-log-fmt",),
        "access_log_format",
        read=lambda value, plan: None,
        note="its fields have other names here, see docs/options.md",
    ),
    Rule("ssl_certificate", ("--ssl-certificate",), "certfile"),
    Rule("ssl_keyfile", ("--ssl-keyfile",), "keyfile"),
    Rule("ssl_keyfile_password", ("--ssl-keyfile-password",), "keyfile_password"),
    Rule(
        "ssl_protocol_min",
        ("--ssl-protocol-min",),
        "ssl_min_version",
        read=lambda value, plan: str(value).lower().removeprefix("tls"),
    ),
    Rule("ssl_ca", ("--ssl-ca",), "ssl_ca"),
    Rule("ssl_crl", ("--ssl-crl",), "ssl_crl"),
    Rule(
        "ssl_client_verify",
        ("--ssl-client-verify",),
        "ssl_verify",
        Takes.NOTHING,
        read=lambda value, plan: "required" if read.truth(value, plan) else "none",
    ),
    Rule("ssl_client_verify", ("--no-ssl-client-verify",), takes=Takes.NOTHING_FALSE, quiet=True),
    Rule("url_path_prefix", ("--url-path-prefix",), "root_path"),
    *on_off("respawn_failed_workers", note="a worker that dies is always replaced, with growing pauses"),
    without("respawn_interval", "a worker that dies is replaced after 0.1 s, with growing pauses"),
    without("rss_sample_interval", quiet=True),
    without("rss_samples", quiet=True),
    Rule("workers_lifetime", ("--workers-lifetime",), "max_worker_age", read=read.seconds),
    Rule("workers_max_rss", ("--workers-max-rss",), "max_worker_memory", read=_mebibytes),
    Rule("workers_kill_timeout", ("--workers-kill-timeout",), "drain_timeout", read=read.seconds),
    Rule("factory", ("--factory",), "factory", Takes.NOTHING, read=read.true_or_none),
    Rule("factory", ("--no-factory",), takes=Takes.NOTHING_FALSE, quiet=True),
    Rule("working_dir", ("--working-dir",), "chdir"),
    Rule("env_files", ("--env-files",), "env_file", repeatable=True),
    without("static_path_route", "files are the matter of the proxy in front, or of the framework (WhiteNoise)"),
    without("static_path_mount", "files are the matter of the proxy in front, or of the framework (WhiteNoise)"),
    without("static_path_dir_to_file", "files are the matter of the proxy in front, or of the framework (WhiteNoise)"),
    without("static_path_expires", "files are the matter of the proxy in front, or of the framework (WhiteNoise)"),
    *on_off("metrics", quiet=True),
    without("metrics_scrape_interval", quiet=True),
    without("metrics_address", quiet=True),
    without("metrics_port", quiet=True),
    Rule("reload", ("--reload",), "reload", Takes.NOTHING, read=read.true_or_none),
    Rule("reload", ("--no-reload",), takes=Takes.NOTHING_FALSE, quiet=True),
    Rule("reload_paths", ("--reload-paths",), "reload_dir", repeatable=True),
    Rule("reload_ignore_dirs", ("--reload-ignore-dirs",), "reload_exclude", repeatable=True),
    without("reload_ignore_patterns", "reload_exclude takes shell patterns, not regular expressions"),
    Rule("reload_ignore_paths", ("--reload-ignore-paths",), "reload_exclude", repeatable=True),
    without("reload_tick", quiet=True),
    *on_off("reload_ignore_worker_failure", quiet=True),
    Rule("process_name", ("--process-name",), "proc_name"),
    Rule("pid_file", ("--pid-file",), "pidfile"),
)


def finish(plan: Plan) -> None:
    """What is to be said of defaults, and of options that were not given."""
    if "bind" in plan.options:
        plan.options.pop("host", None)
        plan.options.pop("port", None)
    if read.truth(plan.given.get("metrics"), plan):
        address = f"{plan.given.get('metrics_address', '127.0.0.1')}:{plan.given.get('metrics_port', 9090)}"
        plan.set("metrics", address, f"metrics at {address}")
    if "interface" not in plan.given:
        plan.defaults.append(
            "granian serves RSGI unless told otherwise; gracehttp finds out whether it is ASGI or WSGI"
        )
    if "http1_header_read_timeout" not in plan.given:
        plan.defaults.append('granian waits 30 s for a head, gracehttp 10 s; header_timeout = "30s" does the same')
    if "workers_kill_timeout" not in plan.given:
        plan.defaults.append("granian waits for a worker without a limit, gracehttp cuts its requests after 30 s")
    plan.defaults.append("gracehttp closes connections that were idle for 75 s (keep_alive_timeout)")
    plan.defaults.append("SIGHUP restarts without a pause; the variables GRANIAN_... have no effect")
