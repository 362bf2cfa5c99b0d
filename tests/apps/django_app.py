"""A Django project in one file: `asgi` and `wsgi` are the same views behind either interface.

GET /pid · GET /slow?seconds=0.3 · POST /echo · GET /stream?pieces=10&seconds=0
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator

from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["*"],
    DEBUG=False,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a test",
    USE_TZ=True,
)

from django.core.asgi import get_asgi_application  # noqa: E402  Django wants its settings first
from django.core.handlers.asgi import ASGIRequest  # noqa: E402  (as above)
from django.core.wsgi import get_wsgi_application  # noqa: E402  (as above)
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse  # noqa: E402  (as above)
from django.urls import path  # noqa: E402  (as above)
from django.views.decorators.http import require_POST  # noqa: E402  (as above)


def pid(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(os.getpid()), content_type="text/plain")


def slow(request: HttpRequest) -> HttpResponse:
    time.sleep(float(request.GET.get("seconds", "0.3")))
    return pid(request)


@require_POST
def echo(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.body, content_type="application/octet-stream")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    pieces = [f"piece {number}\n" for number in range(int(request.GET.get("pieces", "10")))]
    seconds = float(request.GET.get("seconds", "0"))

    def body() -> Iterator[str]:
        for piece in pieces:
            yield piece
            time.sleep(seconds)

    async def async_body() -> AsyncIterator[str]:
        for piece in pieces:
            yield piece
            await asyncio.sleep(seconds)

    # Django streams an iterator only behind WSGI, an async iterator only behind ASGI.
    content = async_body() if isinstance(request, ASGIRequest) else body()
    return StreamingHttpResponse(content, content_type="text/plain")


urlpatterns = [path("pid", pid), path("slow", slow), path("echo", echo), path("stream", stream)]

asgi = get_asgi_application()
wsgi = get_wsgi_application()
