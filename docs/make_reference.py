"""Writes the pages of the reference that are made from docstrings: events, exit statuses and the Python API.

Run it after a change: `python docs/make_reference.py`. A test compares the pages with what it would write.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import gracehttp
from gracehttp import errors, events
from gracehttp.applications.asgi import extensions
from gracehttp.applications.drain_notice import ThreadDrainNotice
from gracehttp.applications.wsgi import environ

FOLDER = Path(__file__).parent
MADE = "This page is made from the code by `docs/make_reference.py`.\n"

CLASSES = [
    one
    for one in (getattr(events, name) for name in events.__all__)
    if isinstance(one, type) and issubclass(one, events.Event) and one is not events.Event
]
STATUSES = {
    "EXIT_DONE": "Done: the service was stopped gracefully, or the command did what it was told to.",
    "EXIT_FAILED": "The command failed (a restart whose new code does not serve, a service that isn't there); or the "
    "service was stopped by force; or a script ended with an exception.",
    "EXIT_USAGE": "A mistake in the command line or in an option, or a file that it names is missing. Nothing was "
    "opened.",
    "EXIT_COULD_NOT_START": "The service could not start: the application doesn't import, a port is in use.",
    "EXIT_STILL_UNDER_WAY": "What was ordered is still under way after `--timeout`; `gracehttp status` tells how it "
    "ends.",
    "EXIT_INTERRUPTED": "Ctrl+C ended a command while it waited. What it ordered goes on.",
}

PLACES = {"tls": "TLS", "gracehttp.proxy_tls": "a PROXY header that tells of TLS"}
EXTENSIONS = {
    "gracehttp.drain": "know that its worker goes away, and end streams in time ([restarts.md](restarts.md))",
    "http.response.pathsend": "send a whole file as the body: "
    '`{"type": "http.response.pathsend", "path": "/absolute/path"}`',
    "http.response.zerocopysend": "send a part of an open file: "
    '`{"type": "http.response.zerocopysend", "file": file, "offset": 0, "count": 1000, "more_body": True}`',
    "http.response.early_hint": "send 103 before the response, so that browsers fetch what it will need",
    "http.response.trailers": "send fields behind the body",
    "websocket.http.response": "answer a handshake with an ordinary response ([websockets.md](websockets.md))",
    "tls": "find the client's certificate, the version and the cipher suite ([tls.md](tls.md))",
    "gracehttp.proxy_tls": "find what a proxy says of the client's TLS ([proxies.md](proxies.md#the-proxy-protocol))",
}
ENVIRON = {
    "REQUEST_METHOD": "the method, as the client wrote it",
    "SCRIPT_NAME": "the path at which the application is (`root_path`)",
    "PATH_INFO": "the rest of the path, percent-decoded, its bytes as latin-1 (PEP 3333)",
    "QUERY_STRING": "what follows the first `?`, as it was sent",
    "REQUEST_URI": "the request target as it was sent; no key of PEP 3333, but of many servers",
    "SERVER_PROTOCOL": "`HTTP/1.0`, `HTTP/1.1` or `HTTP/2`",
    "wsgi.input": "the body",
    "wsgi.errors": "what is written to it goes to stderr",
    "SERVER_SOFTWARE": "`gracehttp`",
    "wsgi.version": "PEP 3333: 1.0",
    "wsgi.multithread": "true with `--threads` 2 and more",
    "wsgi.multiprocess": "true with `--workers` 2 and more",
    "wsgi.run_once": "false",
    "wsgi.file_wrapper": 'PEP 3333. What `open(path, "rb")` returns goes out by sendfile(2) on HTTP/1.1 without TLS, '
    "and holds no thread meanwhile. Other objects are read in the thread. Django's `FileResponse` and Flask's "
    "`send_file` use it.",
    "wsgi.input_terminated": "true: the body can be read to its end without knowing its length",
    "gracehttp.draining": "tells that the worker goes away ([restarts.md](restarts.md))",
}


def events_page() -> str:
    """All events, by the module that has them."""
    lines = [
        "# Events",
        "",
        MADE,
        "Each fact of the lifecycle is an event: one class of `gracehttp.events`, with fields. Its sentence is a line",
        "of the log, where `...` stands for a value. With `--log-format json` the class is `event`, and the fields",
        "stand beside it ([logs.md](logs.md)). [hooks.md](hooks.md) tells how to be called with them.",
        "",
    ]
    for module_name in dict.fromkeys(one.__module__ for one in CLASSES):
        module = importlib.import_module(module_name)
        classes = [one for one in CLASSES if one.__module__ == module_name]
        lines += [f"## {_title(module)}", ""]
        sentences = _sentences(module)
        for one in sorted(classes, key=lambda one: inspect.getsourcelines(one)[1]):
            lines += [f"### {one.__name__}", ""]
            if one.__doc__ and "__doc__" in vars(one):
                lines += [_text(one), ""]
            if sentences.get(one.__name__):
                lines += [f"> {_escaped(sentences[one.__name__])}", ""]
            fields = _fields(one)
            shown = ", ".join(f"`{name}`: {kind}" for name, kind in fields) or "none"
            lines += [f"Level `{one.severity.value}`. Fields: {shown}.", ""]
    return "\n".join(lines)


def statuses_page() -> str:
    """What a shell or a service manager sees when the service or a command ends."""
    rows = [f"| {getattr(errors, name)} | {meaning} |" for name, meaning in STATUSES.items()]
    by_status = [
        f"| `{one.__name__}` | {one.exit_status} | {_text(one).partition(chr(10))[0]} |"
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, errors.GraceHTTPError)
    ]
    return "\n".join(
        [
            "# Exit statuses",
            "",
            MADE,
            "| status | |",
            "|---|---|",
            *rows,
            "",
            "The errors behind them. In a script they are exceptions, and `run()` turns them into these statuses",
            "([decision 10](decisions/0010-exit-statuses.md)):",
            "",
            "| error | status | |",
            "|---|---|---|",
            *by_status,
            "",
        ]
    )


def api_page() -> str:
    """All that `import gracehttp` gives."""
    lines = [
        "# Python API",
        "",
        MADE,
        "All of it is in `gracehttp`. The keyword arguments of options are those of [options.md](options.md);",
        "[development.md](development.md#tests) has examples for tests, [events.md](events.md) the events.",
        "",
    ]
    for name in gracehttp.__all__:
        thing = getattr(gracehttp, name)
        if name == "__version__":
            lines += ["## \\_\\_version\\_\\_", "", "The release, such as `0.1.0`.", ""]
            continue
        lines += [f"## {name}", "", *_described(name, thing)]
        if inspect.isclass(thing):
            for method, value in vars(thing).items():
                if not method.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
                    lines += [f"### {name}.{method}", "", *_described(f"{name}.{method}", value)]
    return "\n".join(lines)


def _described(name: str, thing: object) -> list[str]:
    signature = []
    if inspect.isfunction(thing) or thing is gracehttp.GraceHTTP:  # the others are made by the server
        signature = ["<!-- tested by test_reference_pages.py -->", "```python", f"{name}{_signature(thing)}", "```", ""]
    own = inspect.isclass(thing) and "__doc__" not in vars(thing)
    return [*signature, *([] if own or not inspect.getdoc(thing) else [_text(thing), ""])]


def _signature(thing: Callable[..., object]) -> str:
    try:
        shown = str(inspect.signature(thing))
    except ValueError:
        return "()"
    return re.sub(r"[\w.]+\.(?=[A-Z])|(?<=\()self, |(?<=\()self(?=\))|'", "", shown)


def _title(module: ModuleType) -> str:
    return (inspect.getdoc(module) or "").split("\n", 1)[0].rstrip(".")


def _text(thing: object) -> str:
    """A docstring, with what is in code style there shown so here; fields of documentation stay as they are."""
    return " ".join((inspect.getdoc(thing) or "").split()) if _is_plain(thing) else (inspect.getdoc(thing) or "")


def _is_plain(thing: object) -> bool:
    return "\n\n" not in (inspect.getdoc(thing) or "")


def _escaped(text: str) -> str:
    return re.sub(r"([*_<>`\[\]])", r"\\\1", text)


def _fields(one: type) -> list[tuple[str, str]]:
    found = {}
    for base in reversed(one.__mro__):
        for name, kind in vars(base).get("__annotations__", {}).items():
            if not name.startswith("_") and "ClassVar" not in str(kind):
                found[name] = str(kind).replace("|", "or")
    return list(found.items())


def _sentences(module: ModuleType) -> dict[str, str]:
    """What `__str__` of each class returns at its end, with `...` for what is computed."""
    found = {}
    for one in ast.parse(inspect.getsource(module)).body:
        if isinstance(one, ast.ClassDef):
            for method in one.body:
                if isinstance(method, ast.FunctionDef) and method.name == "__str__":
                    returned = [node.value for node in ast.walk(method) if isinstance(node, ast.Return) and node.value]
                    shown = [_shown(value) for value in returned]
                    found[one.name] = max(shown, key=len, default="")
    return {name: re.sub(r"\.{4,}", "...", text) for name, text in found.items() if re.search(r"[a-z]{2}", text)}


def _shown(value: ast.expr) -> str:
    if isinstance(value, ast.Constant):
        return str(value.value)
    if isinstance(value, ast.JoinedStr):
        return "".join(_shown(part) for part in value.values)
    if isinstance(value, ast.IfExp):
        return max(_shown(value.body), _shown(value.orelse), key=len)
    if isinstance(value, ast.BinOp):
        return _shown(value.left) + _shown(value.right)
    if isinstance(value, ast.Call) and value.args:
        return _shown(value.args[0])
    return "..."


def applications_page() -> str:
    """The page with its tables up to date; what the application may do with each is written here."""
    text = (FOLDER / "applications.md").read_text(encoding="utf-8")
    for name, rows in {"extensions": _extensions(), "environ": _environ()}.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        text = "".join((before, begin, "\n".join(rows), "\n", end, rest.partition(end)[2]))
    return text


def _extensions() -> list[str]:
    every = dict.fromkeys((*extensions.OF_HTTP, *extensions.OF_WEBSOCKETS, *PLACES))
    rows = ["| extension | what the application may do with it | where |", "|---|---|---|"]
    for name in every:
        places = [
            ("HTTP/1.0", name in extensions.OF_HTTP10),
            ("HTTP/1.1, HTTP/2", name in extensions.OF_HTTP),
            ("WebSockets", name in extensions.OF_WEBSOCKETS),
        ]
        where = ", ".join(place for place, there in places if there)
        if all(there for _, there in places):
            where = "everywhere"
        rows.append(f"| `{name}` | {EXTENSIONS[name]} | {PLACES.get(name, where)} |")
    return rows


def _environ() -> list[str]:
    template = environ.environ_template(
        multithread=True, multiprocess=True, draining=ThreadDrainNotice(threading.Event())
    )
    return ["| in `environ` | |", "|---|---|", *(f"| `{name}` | {ENVIRON[name]} |" for name in template)]


PAGES = {
    "events.md": events_page,
    "exit-statuses.md": statuses_page,
    "api.md": api_page,
    "applications.md": applications_page,
}


def main() -> None:
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
