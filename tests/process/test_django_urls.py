"""Django imports its URLs at the first request. A worker has them before it is ready."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
from code_blocks import BLOCKS
from server_harness import get

pytest.importorskip("django")

PROJECT = """
    from django.conf import settings

    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF="urls", SECRET_KEY="of a test", MIDDLEWARE=[])

    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application

    asgi, wsgi = get_asgi_application(), get_wsgi_application()

    def wrapped(environ, start_response):
        return wsgi(environ, start_response)
"""
URLS = """
    from django.http import HttpResponse
    from django.urls import path

    urlpatterns = [path("", lambda request: HttpResponse("fine"))]
"""
BROKEN = {
    "raises": ("import nothing_like_it\n", "ModuleNotFoundError: No module named 'nothing_like_it'"),
    "has no patterns": ("patterns = []\n", "does not appear to have any patterns in it"),
    "is found by a check": ("urlpatterns = ['x']\n", "(urls.E004)"),
}


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "preload"])
@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("application", ["asgi", "wsgi", "wrapped"])
def test_urls_that_are_broken_fail_the_restart(start, application, broken, preload):
    name = f"project:{application}"
    files = {"project.py": PROJECT, "urls.py": URLS}
    server = start("-m", "gracehttp", "serve", name, "-b", "127.0.0.1:0", *preload, files=files)
    server.wait_until_serving()
    assert get(server.port) == (200, "fine")
    text, reason = BROKEN[broken]
    server.write("urls.py", textwrap.dedent(text))
    refused = server.command("restart")
    assert refused.returncode == 1
    assert f"URLs of {name} (urls" in refused.stderr
    assert reason in refused.stderr
    assert get(server.port) == (200, "fine")
    server.write("urls.py", URLS)
    assert server.command("restart").returncode == 0


def test_check_finds_them_too(start):
    server = start("-m", "gracehttp", "check", "project:asgi", files={"project.py": PROJECT, "urls.py": "import none"})
    assert server.wait() != 0
    assert "ModuleNotFoundError: No module named 'none'" in server.log


def test_a_mistake_in_the_urls_is_told_without_frames_of_django(start):
    server = start("-m", "gracehttp", "check", "project:asgi", files={"project.py": PROJECT, "urls.py": "1 / 0"})
    assert server.wait() != 0
    frames = [line for line in server.log.splitlines() if line.startswith("  File ")]
    assert len(frames) == 1
    assert "urls.py" in frames[0]


def test_an_application_that_uses_django_without_its_handlers_is_left_alone(start):
    application = """
        from django.conf import settings
        settings.configure(ROOT_URLCONF="none")
        import django
        django.setup()

        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"ok"})
    """
    server = start("-m", "gracehttp", "serve", "a:app", "-b", "127.0.0.1:0", files={"a.py": application})
    server.wait_until_serving()
    assert get(server.port) == (200, "ok")


def test_the_module_for_development_serves_static_files_as_runserver_does(start, tmp_path):
    (dev,) = (block for block in BLOCKS if block.page == "frameworks" and block.mark.endswith("as mysite/dev.py"))
    subprocess.run([sys.executable, "-m", "django", "startproject", "mysite", tmp_path], check=True)
    (tmp_path / "mysite" / "dev.py").write_text(dev.text)
    command = ("serve", "mysite.dev:application", "-b", "127.0.0.1:0", "--app-dir", str(tmp_path))
    server = start("-m", "gracehttp", *command)
    server.wait_until_serving()
    status, text = get(server.port, "/static/admin/css/base.css")
    assert status == 200
    assert "DJANGO" in text.upper()
