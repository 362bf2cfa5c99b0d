"""Child processes of the supervisor: how they start, what goes to and from them, and how they end. Decides nothing.

Start reading at `workers`: all of them, by number. Each is a `process`, which the `starter` starts. `spawning` runs its
command line, or a `fork_server` forks it: the template of its generation (`templates`), or the `spare` process if that
has inherited the same (`inheritance`). It becomes a child of the supervisor all the same (`subreaper`), and `children`
reaps it, as all others. What it writes to stderr until it is ready goes through a pipe (`early_stderr`), because a
program that can't be compiled has no other way to tell. `process_view` is what the kernel tells of it.

What is executed is the `command_line` of the first start: by its names (`symbolic_links`), by the interpreter that the
first line of a script names (`shebang`), without a `debugger`. `launches` keeps what each generation has found, and
`code_records` which code it runs.

Imports `wire`, and of the supervisor only `guard` and `signals`.
"""
