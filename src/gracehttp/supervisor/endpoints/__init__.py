"""The addresses at which the supervisor itself answers: `--admin`, `--metrics` and `--agent-check`.

Start reading at `addresses`, which opens and keeps them. Each is an `endpoint`: a listening socket that takes a few
clients at a time. What it says is a responder: `http_pages` (pages by path, over HTTP) or `agent_check` (a line for
HAProxy). `health` tells whether the service lives and takes requests, also for the watchdog of systemd. The reasons are
in docs/decisions/0026-the-admin-address.md.

Imports `fleet`, `listeners`, `metrics` and `processes`, and no protocol code: what is understood of HTTP stands in
`http_pages`.
"""
