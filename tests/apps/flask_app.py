"""A Flask application.

GET /pid · GET /slow?seconds=0.3 · POST /echo · GET /stream?pieces=10&seconds=0 · GET /file
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from flask import Flask, Response, request, send_file

app = Flask(__name__)


@app.get("/pid")
def pid() -> Response:
    return Response(str(os.getpid()), mimetype="text/plain")


@app.get("/slow")
def slow() -> Response:
    time.sleep(request.args.get("seconds", 0.3, type=float))
    return pid()


@app.post("/echo")
def echo() -> Response:
    return Response(request.get_data(), mimetype="application/octet-stream")


@app.get("/stream")
def stream() -> Response:
    pieces = request.args.get("pieces", 10, type=int)
    seconds = request.args.get("seconds", 0.0, type=float)

    def body() -> Iterator[str]:
        for number in range(pieces):
            yield f"piece {number}\n"
            time.sleep(seconds)

    return Response(body(), mimetype="text/plain")


@app.get("/file")
def file() -> Response:
    return send_file(__file__, mimetype="text/x-python")
