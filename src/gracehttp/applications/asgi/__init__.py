"""ASGI 3.0 (asgi.readthedocs.io): the HTTP and WebSocket message format 2.5 and the lifespan protocol 2.0.

`application` is the entrance: one task per request or WebSocket, and the lifespan of the worker. `requests` has the
scope and the messages of one request, `websockets` those of one WebSocket, `lifespan` those of the lifespan, `types`
the callables and dictionaries of the specification. `files` are bodies that are files (`http.response.pathsend`), and
`first_steps` runs a task at once up to where it waits. `extensions` are those of the scopes, and `mistakes` names what
an application sent or returned that is no message.

It may import what `applications` may, and not `wsgi`. Start reading at `application`.
"""
