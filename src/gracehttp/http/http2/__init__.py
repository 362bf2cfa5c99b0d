"""HTTP/2 (RFC 9113): many exchanges on one connection.

- `library`: whether the library that carries out the framing is installed; nothing else here works without it
- `engine`: the only module that knows that library. Bytes in, events out, and back
- `guard`: when a client's behaviour is a flood (pure)
- `requests`, `responses`: between the field lists of HTTP/2 and the heads that applications see (pure)
- `stream`: one request and its response, as the carrier of an `Exchange`
- `tunnel`: a stream that has become a connection of its own, for WebSockets
- `protocol`: the connection: flow control, deadlines, the two-step end

It may import what `http` may. Start reading at `protocol`, then `stream`.
"""
