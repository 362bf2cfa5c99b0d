"""Real proxies in front of a server: nginx and HAProxy, each with its configuration in a folder of its own."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
from deadlines import DEADLINE_SECONDS

NGINX = """
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr info;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    proxy_next_upstream off;
{http}
}}
"""
"""A failure is told to the client, not tried again."""

HAPROXY = """
global
    log stderr format raw local0
defaults
    mode http
    retries 0
    timeout connect 5s
    timeout client 60s
    timeout server 60s
{sections}
"""


@contextlib.contextmanager
def nginx(folder, ports, http):
    """nginx with these lines in its block `http`; it listens when the context is entered."""
    program = _find("nginx")
    folder = Path(folder)
    folder.mkdir()
    (folder / "nginx.conf").write_text(NGINX.format(http=http))
    with _running([program, "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"], folder, ports):
        yield


@contextlib.contextmanager
def haproxy(folder, ports, sections):
    """HAProxy with these sections; it listens when the context is entered."""
    program = _find("haproxy")
    folder = Path(folder)
    folder.mkdir()
    (folder / "haproxy.cfg").write_text(HAPROXY.format(sections=sections))
    with _running([program, "-db", "-f", "haproxy.cfg"], folder, ports):
        yield


def _find(name):
    program = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip(f"{name} is not installed")
    return program


@contextlib.contextmanager
def _running(command, folder, ports):
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + DEADLINE_SECONDS
        for port in ports:
            while not _listens(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"{command[0]} does not listen:\n{(folder / 'log').read_text()}")
                time.sleep(0.02)  # nothing tells
        yield
    finally:
        process.terminate()
        try:
            process.wait(DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
