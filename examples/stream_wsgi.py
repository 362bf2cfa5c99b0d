"""A stream from a WSGI application that ends when the drain begins. Each open stream takes one thread.

gracehttp serve stream_wsgi:app --threads 16
curl -N http://127.0.0.1:8000/
"""

import os

PAUSE_SECONDS = 1.0


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")])
    return events(environ["gracehttp.draining"])


def events(draining):
    while not draining.is_set():
        yield f"data: still here, process {os.getpid()}\n\n".encode()
        draining.wait(PAUSE_SECONDS)  # returns early when the drain begins
    yield b"retry: 1000\ndata: goodbye\n\n"
