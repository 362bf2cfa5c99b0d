"""The process that lives as long as the service: it holds the sockets, starts and ends workers, and restarts.

Start reading at `supervisor`, which makes the parts and joins them. They work in a circle:

- `operator_requests` (signals, commands), `reports` (what workers say, and how they end) and `watchdog` (workers that
  hang) tell `turns` what has happened. `reception` gives a new worker what it needs.
- `turns` asks `fleet`, which decides as a pure function, and `orders` carries out what it commands.

`options` is what the supervisor is told by those that start it. What it holds (`holdings`): the `pidfile`;
`processes`, from the fork to the wait status; `listeners` with their permits and handover queues; `certificates`;
`service_manager` (systemd). What tells others of it (`observability`): `metrics`, `endpoints` (health checks, scrapes),
`hook_process`, and what `control` shows beside the outcome of commands. `succession` is how it replaces itself,
`reloading` what `--reload` does.

`signals` and `terminal` are how the operator reaches it, and `client_acceptor` takes clients at its own sockets.
`guard` keeps a defect from stopping it, and `first_failure` is the last line of a service that never served.

Imports neither `http`, `worker` nor what serves applications or TLS: nothing that a deploy brings can break it.
"""
