"""nginx as the limit: it answers without calling an application. It comes from the distribution."""

from __future__ import annotations

import os
import shutil
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .applications import LARGE
from .server import Server
from .session import Session, free_port

if TYPE_CHECKING:
    from .peers import Needs

PATH = os.pathsep.join(filter(None, (os.environ.get("PATH"), "/usr/sbin", "/usr/local/sbin")))
COMMAND = "nginx -c nginx.conf (one worker, no access log, a static answer)"

_CONFIGURATION = """
{user}
daemon off;
worker_processes {workers};
pid nginx.pid;
error_log stderr;
events {{ worker_connections 20000; }}
http {{
  access_log {log};
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  keepalive_timeout {keep_alive};
  keepalive_requests 100000000;
  client_max_body_size 0;
  sendfile on;
  tcp_nopush on;
  default_type text/plain;
  server {{
    listen 127.0.0.1:{port} backlog=2048{tls};
    {certificate}
    root {folder};
    {block}
  }}
}}
"""


def start(
    session: Session,
    block: str,
    needs: Needs,
    *,
    cores: Sequence[int] | None,
    trust: ssl.SSLContext | None,
    first: bool,
) -> Server:
    """Start it in a folder of its own; `block` is the content of its server block."""
    port = free_port()
    folder = session.folder / f"nginx-{port}"
    folder.mkdir()
    (folder / "large").write_bytes(LARGE)  # a block can name it: paths are relative to the folder
    files = needs.certificate
    (folder / "nginx.conf").write_text(
        _CONFIGURATION.format(
            user="user root;" if os.geteuid() == 0 else "",  # else its worker can't read what we made
            workers=needs.workers,
            log="access.log" if needs.access_log else "off",
            keep_alive=600 if needs.patient else 75,
            port=port,
            tls=" ssl" if files else "",
            certificate=f"ssl_certificate {files.chain}; ssl_certificate_key {files.key};" if files else "",
            block=block,
            folder=folder,
        )
    )
    program = shutil.which("nginx", path=PATH) or "nginx"
    return Server(
        session,
        "nginx",
        [program, "-p", str(folder), "-c", "nginx.conf"],
        environment=os.environ,
        port=port,
        cores=cores,
        trust=trust,
        first=first,
    )
