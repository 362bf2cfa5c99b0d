"""The command line. `main` is what the command `gracehttp` calls.

`program` has the list of commands, and turns errors into exit statuses. Each command is a module of its own: `serve`,
`check`, `restart`, `stop`, `status`, `top`, `migrate`, `example`, `completion`, `demo`. They share `options` (those of
the configuration) and `parameters` (types of others), `target` (which supervisor is meant), `control_client` (which
asks it; `process_table` tells what else a PID is) and `waiting` (for the result of a command, which `live_line` shows
at a terminal). `checking` belongs to `check`, `live` to `top`, `migrating` to `migrate`, `examples` to `example`.

It may import everything. Modules of the server are imported within functions, so that help and `restart` start quickly.
Start reading at `program`.
"""

from __future__ import annotations

from gracehttp.cli.program import main

__all__ = ["main"]
