"""Every format that crosses a process: what must not change by accident between two releases.

- `messages`: all that a supervisor, its workers and its templates say to each other, one class each.
- `channel`: sends and receives those classes, with descriptors, over a stream socket; `channel_watch` does so on an
  event loop.
- `shortages`: which errors of such a socket pass, and how long to wait for that.
- `handover`: the message in which connections go from one worker to another.
- `control`: the protocol of the control socket, used by the supervisor and by `gracehttp restart`, `stop` and `status`.
- `json_lines`: the framing that `channel` and `control` share.
- `lineage`: the environment variables that tell a process what it was started as.
- `signals`: what each signal means to the supervisor; its workers leave them to it.

Imports only `values`, so that every process can afford it. Start reading at `messages`. The vectors in tests/vectors
pin what is written.
"""
