"""HTTP/1.1 and 1.0 (RFC 9112).

`protocol` is a connection's conversation: bytes become exchanges, and heads and bodies become bytes. `parser` takes one
request at a time out of the bytes, `checks` says what makes a request unacceptable, `response` how a head looks.

Imports `http` and `net`. Start reading at `protocol.Http1Protocol.received`.
"""
