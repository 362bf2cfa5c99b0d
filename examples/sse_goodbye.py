"""Server-sent events that say goodbye at a restart, instead of being cut when the drain timeout is over.

    gracehttp serve sse_goodbye:app
    curl -N http://127.0.0.1:8000/

At a restart or stop the server gives the drain notice. The stream ends then, and tells the browser by `retry:` after
how many milliseconds to come back (HTML standard, "Server-sent events"). It will find the new code.
"""

import asyncio
import os
import random

from gracehttp import drain_notice

PAUSE_SECONDS = 1.0


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    drain = drain_notice()
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    while not drain.is_set():
        event = f"data: still here, process {os.getpid()}\n\n"
        await send({"type": "http.response.body", "body": event.encode(), "more_body": True})
        try:
            await asyncio.wait_for(drain.wait(), PAUSE_SECONDS)
        except TimeoutError:
            continue
    # Each at another time, so that they don't come back all at once.
    goodbye = f"retry: {random.randint(100, 2000)}\ndata: goodbye\n\n"
    await send({"type": "http.response.body", "body": goodbye.encode()})
