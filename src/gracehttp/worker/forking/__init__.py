"""Workers that are forked, from a process that has loaded beforehand what they need.

There are two kinds of such a process. The `template` of a generation (`--preload`) has imported the application. The
`spare` process has loaded gracehttp alone, so every generation may use it. Whether there is one is in `spare_option`;
`loaded` tells whether a fresh process would load the same. Both kinds wait in `fork_server` for the supervisor's
orders, and a spare process keeps forks in reserve (`reserves`).

May import what `worker` may. Start reading at `fork_server`. The supervisor's side is in `supervisor.processes`.
"""
