"""The smallest WSGI application. Flask, Django and others are served in the same way.

gracehttp serve hello_wsgi:app --workers 2 --threads 16
"""

import os


def app(environ, start_response):
    body = f"Hello from process {os.getpid()}\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
