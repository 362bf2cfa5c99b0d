"""The process that lives as long as the service: it holds the sockets, starts and ends workers, and restarts.

`fleet` decides, as a pure function; all else here waits, asks it, and does what it says. Start reading at `supervisor`,
the loop. `orders` carries out what the fleet commands, and `reports` tells the fleet what workers report and how they
ended, and publishes it.

- `processes`: workers and templates, from the fork to the wait status.
- `listeners`: the listening sockets, their permits and their handover queues.
- `certificates`: when workers change those of TLS, and the secret of their session tickets.
- `control`: the control socket, and the clients that wait for an outcome.
- `succession`: how the supervisor replaces itself.

Imports neither `http`, `worker` nor what serves applications or TLS: nothing that a deploy brings can break it.
"""
