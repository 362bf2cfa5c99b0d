"""Sockets and bytes, before any protocol: how connections reach a worker, and how many.

- where to listen: `address` (the forms of --bind), `bind` (listening sockets), `activation` (those of a service
  manager), `unix_files`, `port_owner`, `tcp_keepalive`
- taking connections: `acceptor` (the accept loop), `restraint` (when a worker leaves them to others), `syn_filter` (the
  end of a listener)
- how many: `permits` (the limit that all workers share), `shared_permits` (a worker's side of it), `limits` (what it
  may be), `shared_page` (their memory); `worker_page`: what a worker counts
- a full port: `backlog_watch` (are connections waiting?), `idle_ranking` (which worker has the oldest idle one?)
- connections of older workers: `handover_shares` (how many each new worker should take)
- what each error of a system call means for a connection: `failures`
- a connection's bytes: `stream` (plain) and `tls_stream`, which a `poller` wakes, by `system_calls`; `ending` and
  `progress` (how a stream ends, and whether its client still reads); `file_part` (a file as a body); `deadlines`,
  `endpoints`
- what comes before them: `introduction` (a proxy says who its client is), `proxy_protocol` (in which words),
  `trusted_peers` (which peers may)
- `tls13`: TLS 1.3 after the handshake, for connections that are handed over
- `forks`: what processes that the application forks must not keep
- TLS: `certificates` (contexts), `openssl` (what Python's `ssl` lacks), `tls_session` (what applications learn of it),
  `x509` (what certificates say)
- `kernel_view`: what the kernel tells of a socket; `time_slice`: how long the scheduler's turns are

It may import errors, hints, values and events, and nothing that knows HTTP, an application, the options or the messages
between processes. `certificates` loads OpenSSL: import it only where TLS is configured, never in the supervisor.

Start reading at `stream` for the bytes of a connection, at `permits` for the limit.
"""
