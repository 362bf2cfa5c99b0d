"""A FastAPI application with a lifespan, a checked body, a stream and a background task.

GET / · GET /pid · GET /slow?seconds=0.3 · POST /echo · GET /stream?pieces=10&seconds=0 · POST /background ·
GET /background
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import BackgroundTasks, FastAPI, Request
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import BaseModel


class Message(BaseModel):
    text: str
    number: int = 0


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    done: list[str] = []
    yield {"started_in": os.getpid(), "done": done}


app = FastAPI(lifespan=lifespan)


@app.get("/")
async def home(request: Request) -> dict[str, Any]:
    return {"pid": os.getpid(), "started_in": request.state.started_in}


@app.get("/pid", response_class=PlainTextResponse)
async def pid() -> str:
    return str(os.getpid())


@app.get("/slow", response_class=PlainTextResponse)
async def slow(seconds: float = 0.3) -> str:
    await asyncio.sleep(seconds)
    return str(os.getpid())


@app.post("/echo")
async def echo(message: Message) -> Message:
    return message


@app.get("/stream")
async def stream(pieces: int = 10, seconds: float = 0.0) -> StreamingResponse:
    async def body() -> AsyncIterator[str]:
        for number in range(pieces):
            yield f"piece {number}\n"
            await asyncio.sleep(seconds)

    return StreamingResponse(body(), media_type="text/plain")


@app.post("/background", status_code=202)
async def begin(request: Request, tasks: BackgroundTasks, seconds: float = 0.0) -> dict[str, int]:
    """Answers at once; what it began is done `seconds` later."""

    async def work() -> None:
        await asyncio.sleep(seconds)
        request.state.done.append("background")

    tasks.add_task(work)
    return {"pid": os.getpid()}


@app.get("/background")
async def done(request: Request) -> dict[str, int]:
    return {"done": len(request.state.done)}
