"""The command line. `main` is what the command `gracehttp` calls.

`entry` is where each process begins. It runs the service (`service`) if `arguments` can be read without click, because
supervisors and workers would keep that for life. All else goes to `program`: it has the list of commands, and tells
what click finds wrong. Each command is a module of its own: `serve`, `check`, `restart`, `stop`, `status`, `top`,
`migrate`, `example`, `completion`, `demo`. `endings` turns errors into exit statuses, `version` tells ours.

They share `options` (those of the configuration) and `parameters` (types of others), `target` (which supervisor is
meant), `control_client` (which asks it; `process_table` tells what else a PID is) and `waiting` (for the result of a
command, which `live_line` shows at a terminal). `checking` belongs to `check`, `live` to `top`, `migrating` to
`migrate`, `examples` to `example`.

It may import everything. Modules of the server are imported within functions, so that help and `restart` start quickly.
Start reading at `entry`.
"""

from __future__ import annotations

from gracehttp.cli.entry import main

__all__ = ["main"]
