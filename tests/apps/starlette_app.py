"""A Starlette application with a stream, background tasks and a file.

GET /pid · GET /slow?seconds=0.3 · POST /echo · GET /stream?pieces=10&seconds=0 · GET /file · POST /background ·
GET /background
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

_done: list[str] = []


async def pid(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(os.getpid()))


async def slow(request: Request) -> PlainTextResponse:
    await asyncio.sleep(float(request.query_params.get("seconds", "0.3")))
    return PlainTextResponse(str(os.getpid()))


async def echo(request: Request) -> Response:
    return Response(await request.body(), media_type="application/octet-stream")


async def stream(request: Request) -> StreamingResponse:
    pieces = int(request.query_params.get("pieces", "10"))
    seconds = float(request.query_params.get("seconds", "0"))

    async def body() -> AsyncIterator[str]:
        for number in range(pieces):
            yield f"piece {number}\n"
            await asyncio.sleep(seconds)

    return StreamingResponse(body(), media_type="text/plain")


async def file(request: Request) -> FileResponse:
    return FileResponse(__file__, media_type="text/x-python")


async def background(request: Request) -> PlainTextResponse:
    if request.method == "GET":
        return PlainTextResponse(str(len(_done)))
    seconds = float(request.query_params.get("seconds", "0"))

    async def work() -> None:
        await asyncio.sleep(seconds)
        _done.append("background")

    return PlainTextResponse(str(os.getpid()), status_code=202, background=BackgroundTask(work))


app = Starlette(
    routes=[
        Route("/pid", pid),
        Route("/slow", slow),
        Route("/echo", echo, methods=["POST"]),
        Route("/stream", stream),
        Route("/file", file),
        Route("/background", background, methods=["GET", "POST"]),
    ]
)
