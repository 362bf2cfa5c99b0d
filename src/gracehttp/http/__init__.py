"""What is true for every version of HTTP: connections, requests and responses.

- `connection`: a client's connection as the worker handles it, and what a protocol owes it (`WireProtocol`)
- `exchange`: one request and its response, and the rules of a response; ASGI and WSGI are written against it
- `handler`: what requests are given to, the contract of applications
- `head`, `body`, `fields`: the parts of a message
- `forwarded`: what a trusted proxy says of a request; `hosts`: what names a host
- `request_ids`: the id that each request can have
- `server_fields`: the fields that the server adds to responses
- `negotiation`: which protocol a connection speaks, at first and after an upgrade
- `request_counter`: counts requests for the metrics; `unserved`: what clients ask for that is not served
- `settings`: the limits that protocols need

Each protocol is a package of its own: `http1`, `http2`, `websocket`. Only `negotiation` knows them all by name.

It may import `config`, `net`, `wire` and what is below them, and knows neither applications nor workers. Start reading
at `connection`, then `exchange`.
"""
