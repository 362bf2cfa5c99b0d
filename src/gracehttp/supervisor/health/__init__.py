"""What load balancers and orchestrators ask the supervisor: whether the service lives, and whether it takes requests.

Start reading at `checks`, which tells what is true of the service. `admin` answers that over HTTP, by path, so that
other pages can stand beside it; `agent` over the protocol of HAProxy's agent-check. Both listen at an `endpoint`, which
holds the socket and takes a few clients at a time. The supervisor serves them itself
(docs/decisions/0026-the-admin-address.md).

Imports `fleet`, `listeners` and `processes`, and no protocol code: what is understood of HTTP stands in `admin`.
"""
