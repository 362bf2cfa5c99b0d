"""Child processes of the supervisor: how they start, what goes to and from them, and how they end. Decides nothing.

Start reading at `workers`, which has all of them. A `process` is started with a `command_line` by `spawning`, or forked
by the template of its generation (`templates`). What it writes to stderr until it is ready goes through a pipe
(`early_stderr`), because a program that can't be compiled has no other way to tell. `code_records` keeps which code
each generation runs.

Imports `wire`, and of the supervisor only `guard` and `signals`.
"""
