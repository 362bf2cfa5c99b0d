"""Writes docs/options.md from the options in the code. Run it after a change: `python docs/make_options.py`."""

from __future__ import annotations

from pathlib import Path

from gracehttp.config import OPTIONS, Option
from gracehttp.config.model import GROUPS, Scope

PAGE = Path(__file__).with_name("options.md")

INTRODUCTION = """\
# Options

This page is made from the code by `docs/make_options.py`.

The same option can stand in several places. The first of these that has it wins:

1. the command line, `--max-connections 500`;
2. the environment, `GRACEHTTP_MAX_CONNECTIONS=500`; one that can be given again holds several values, with spaces
   between them, or one a line if they are paths or header fields;
3. the TOML file that `--config` names, `max_connections = 500`;
4. a variable that other programs know too: `PORT`, `WEB_CONCURRENCY`, `FORWARDED_ALLOW_IPS`. It stands behind the file,
   since what is set for many programs says less than what was written for this service;
5. the default.

`--host` and `--port` are another way to write `--bind`, and the first place that has any of the three counts: a
`--port` on the command line goes before a `bind` in the file. Both ways in one place are refused. With `PORT` alone,
gracehttp listens on all IPv4 addresses, because a platform that sets it comes from outside; else on 127.0.0.1.

In a script they are keyword arguments: options of the program of `GraceHTTP(workers=4)`, options of a server of
`add_server(app, bind=":8000", max_connections=500)`.

Options of a server can be set for one address alone, as a query: `--bind ':8000?max_connections=500'`. That goes
before all other places.

On the command line and in the file, a name that doesn't exist is an error that names the one that is near, or what to
write for an option of another server. A variable of that kind (`GRACEHTTP_WROKERS`, `GRACEHTTP_GRACEFUL_TIMEOUT`) is
told in the log, and passed over: it may be for another program. `gracehttp check` shows what the options that were
given amount to, and where each value comes from; with `--verbose` all of them.

Durations are `500ms`, `30s`, `1m30s`, `2h`; a plain number is seconds. Sizes are bytes, or `64k`, `10M`, `1G`, in
powers of 1024.

## A file

Keys at the top level hold for every server. A `[[server]]` table describes one server, or one per address in its
`bind`; what it doesn't say is taken from the top level. Relative paths are relative to the folder of the file;
`app_dir = "."` imports the application from there, wherever the command was given.

<!-- configuration -->
```toml
app = "main:app"
workers = 4
drain_timeout = "1m"

[[server]]
bind = ":8000"

[[server]]
bind = "https://:8443"
certfile = "cert.pem"
keyfile = "key.pem"
max_connections = 5000

[[server]]
app = "admin:app"
bind = "unix:run/admin.sock"
unix_mode = "660"
```

## TLS

A server speaks TLS if its address begins with `https://` or if it has a `certfile`. An address with `http://` is
always plain, so that one `--certfile` can stand beside `--bind http://:80 --bind https://:443`. An empty `certfile`
in the query of an address makes that one plain as well: `unix:run/app.sock?certfile=`. What all of it does:
[tls.md](tls.md).
"""


def page() -> str:
    """The whole page."""
    sections = [_section(group) for group in GROUPS]
    return "\n".join([INTRODUCTION, *sections])


def _section(group: str) -> str:
    rows = [_row(option) for option in OPTIONS.values() if option.group == group]
    head = ["| command line | environment | key | belongs to | default | |", "|---|---|---|---|---|---|"]
    return "\n".join([f"## {group}", "", *head, *rows, ""])


def _row(option: Option) -> str:
    owner = "program" if option.scope is Scope.PROCESS else "server"
    cells = [
        _command_line(option),
        f"`{option.variable}`" + (f", `{option.common_variable}`" if option.common_variable else ""),
        f"`{option.name}`",
        owner,
        _default(option),
        option.help,
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _command_line(option: Option) -> str:
    names = [f"`{option.flag}`"]
    if option.kind.negatable:
        names.append(f"`--no-{option.flag.removeprefix('--')}`")
    if option.short:
        names.append(f"`{option.short}`")
    value = "" if option.kind.is_flag or option.name == "app" else f" {option.kind.metavar}"
    return ", ".join(names) + value


def _default(option: Option) -> str:
    shown = option.show_default()
    return shown if shown in {"none", "required"} else f"`{shown}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
