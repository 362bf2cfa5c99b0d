"""A process that serves: from its hello to the supervisor until its drain has ended.

- `process` is the life of the process; `hello` and `manifest` its introduction, `link` its talk with the supervisor,
  `signals` and `standard_streams` what it does about them
- `service` is what it serves: its ports and applications, from start to drain; `successors` go on with them
- `port` is one port of it, `connections` those that are open, on their `port_terms`, `departures` those that go to
  other workers, `arrivals` those that come from them
- `certificates`: those of all ports, loaded and changed together
- `drain` (when connections are closed), `shedding` (making room on a full port), `turned_away` (telling of peers that
  begin wrongly)
- `observers` are told of each request: the access log, `recycling`, `error_counter`, the metrics; `heartbeat` shows the
  supervisor that the worker lives
- before it is ready: `loops`, `warmup` (requests of the user), `rehearsal` (some of our own), `code_record`,
  `breakpoints`
- `forking`: the processes from which workers are forked

It may import all but the supervisor, the command line and `api`, and no protocol by name. Start reading at `service`:
its method `drain` is the order in which a worker ends.
"""
