"""WSGI (PEP 3333): each request runs in a thread of a pool, while the event loop does its reading and writing.

`modes` is the entrance: it wraps an application in `application`, which calls it in `threads`, or in `on_loop`, which
calls it without. `environ`, `input` and `response` are what an application gets: the request, its body, and
`start_response`. `headers` checks the arguments of the last. `loop_calls` is the way back from the threads to the loop.
`in_flight` counts the requests of both modes, and ends those that take too long. `file_wrapper` is that of PEP 3333,
and `lifespan` calls what the user wants called at start and end. `mistakes` names what an application returned that is
no body.

It may import what `applications` may, and not `asgi`. Start reading at `application`.
"""
