"""WSGI (PEP 3333): each request runs in a thread of a pool, while the event loop does its reading and writing.

`application` is the entrance. `environ`, `input` and `response` are what an application gets: the request, its body,
and `start_response`. `headers` checks the arguments of the last. `threads` is the pool, and `loop_calls` the way back
from its threads to the loop. `on_loop` calls an application without threads. `in_flight` counts the requests of both
modes, and ends those that take too long. `file_wrapper` is that of PEP 3333, and `lifespan` calls what the user wants
called at start and end. `mistakes` names what an application returned that is no body.

It may import what `applications` may, and not `asgi`. Start reading at `application`.
"""
