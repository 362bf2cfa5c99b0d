"""The smallest ASGI application. FastAPI, Starlette, Django and others are served in the same way.

    gracehttp serve hello_asgi:app --workers 2

Then change the text below and, in another terminal: gracehttp restart --pid PID (the log tells the PID).
"""

import os


async def app(scope, receive, send):
    if scope["type"] != "http":  # lifespan: an application that has nothing to start may refuse it
        raise NotImplementedError(scope["type"])
    body = f"Hello from process {os.getpid()}\n".encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
