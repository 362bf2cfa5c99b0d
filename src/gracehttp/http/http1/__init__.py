"""HTTP/1.1 and 1.0 (RFC 9112).

`protocol` is the conversation on a connection: bytes become exchanges, and responses become bytes. All else is pure:
`parser` reads a head, `body_parser` a body, `checks` tells what makes a request unacceptable. `response` makes a head,
`response_body` a body; `framing` names the ways in which a body ends, `octets` joins bytes.

It may import `http`, `net` and `wire.handover`. Start reading at `protocol.Http1Protocol.received`.
"""
