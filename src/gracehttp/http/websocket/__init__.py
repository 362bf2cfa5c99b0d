"""WebSocket (RFC 6455), with permessage-deflate (RFC 7692): messages in both directions, after an upgrade.

- `handshake`: whether a request asks for it, and what is agreed on
- `messages`: frames to messages and back, on the sans-I/O core of the library `websockets`. Pure
- `session`: one WebSocket as an application sees it, from its handshake to its end
- `protocol`: what the connection speaks after the handshake: pings, back-pressure, the closing, the drain

It may import what `http` may. Only `messages` and the negotiation of the extension in `handshake` know the library.
A worker imports it when it starts an application that can have WebSockets (`handshake.prepare`). Start reading at
`session`, then `protocol`.
"""
