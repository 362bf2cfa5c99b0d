"""Configurations of nginx, HAProxy and Caddy on the same machine."""

from __future__ import annotations

import os

from gracehttp.cli.examples.service import Service, seconds, upstream

_IDLE_SHARE = 0.8
"""A proxy must give up an idle connection before the server does, or a request meets its end."""


def nginx(service: Service) -> str:
    server = service.configuration.servers[0]
    scheme = "https" if server.tls else "http"
    return f"""\
# /etc/nginx/conf.d/{service.name}.conf
upstream {service.name} {{
    server {upstream(server)};
    keepalive 32;
    keepalive_timeout {seconds(_IDLE_SHARE * server.keep_alive_timeout)};  # less than keep_alive_timeout of gracehttp
}}

map $http_upgrade ${_variable(service)}_connection {{
    default upgrade;
    ""      "";
}}

server {{
    listen 80;
    client_max_body_size {server.max_body_size};  # as max_body_size of gracehttp; 0 is no limit

    location / {{
        proxy_pass {scheme}://{service.name};
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection ${_variable(service)}_connection;
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_read_timeout 1h;  # gracehttp ends what takes too long itself
    }}
}}
"""


def haproxy(service: Service) -> str:
    server = service.configuration.servers[0]
    process = service.configuration.process
    agent = f" agent-check agent-port {service.agent_port} agent-inter 2s weight 100" if service.agent_port else ""
    tls = " ssl verify none" if server.tls else ""
    admin = service.admin_port
    path = process.ready_path or ("/readyz" if admin else None)
    port = f" port {admin}" if admin else ""
    plain = " no-check-ssl" if admin and server.tls else ""
    probe = f"    option httpchk\n    http-check send meth GET uri {path}\n    http-check expect status 200\n"
    check = probe if path else ""
    return f"""\
# /etc/haproxy/haproxy.cfg
global
    maxconn 20000
    # Longer than a stop of gracehttp takes, so that old processes of HAProxy end their connections too.
    hard-stop-after {service.stop_seconds}s

defaults
    mode http
    timeout connect 5s
    timeout client 1m
    timeout server 1m
    timeout tunnel 1h
    timeout http-keep-alive {seconds(_IDLE_SHARE * server.keep_alive_timeout)}

frontend web
    bind :80
    option forwardfor
    http-request set-header X-Forwarded-Proto http
    default_backend {service.name}

backend {service.name}
{check}    server one {_of_haproxy(upstream(server))} check inter 2s fall 2{port}{tls}{plain}{agent}
"""


def caddy(service: Service) -> str:
    server = service.configuration.servers[0]
    process = service.configuration.process
    address = upstream(server).replace("unix:", "unix/")
    where = f"https://{address}" if server.tls else address
    health = ""
    if service.admin_port:
        path = process.ready_path or "/readyz"
        health = f"\t\thealth_uri {path}\n\t\thealth_port {service.admin_port}\n\t\thealth_interval 2s\n"
    elif process.ready_path:
        health = f"\t\thealth_uri {process.ready_path}\n\t\thealth_interval 2s\n"
    trust = "\t\t\ttls_insecure_skip_verify\n" if server.tls else ""
    return f"""\
# /etc/caddy/Caddyfile
example.com {{
	reverse_proxy {where} {{
{health}		flush_interval -1
		transport http {{
			keepalive {seconds(_IDLE_SHARE * server.keep_alive_timeout)}
{trust}		}}
	}}
}}
"""


def logrotate(service: Service) -> str:
    process = service.configuration.process
    given = [path for path in (process.log_file, process.access_log_file) if path not in (None, "-")]
    # As the service is started, relative paths are those of its folder.
    files = [os.path.join(service.directory, path) for path in given if path is not None]
    where = " ".join(dict.fromkeys(files)) or f"/var/log/{service.name}/*.log"
    how = f"--log-file /var/log/{service.name}/app.log"
    hint = "" if files else f"# For a service with {how}, for example.\n"
    return f"""\
# /etc/logrotate.d/{service.name}
{hint}{where} {{
    daily
    rotate 14
    missingok
    notifempty
    compress
    delaycompress
    # No signal and no postrotate: each process opens the new file within a second. USR1 and HUP, which reopen logs
    # elsewhere, are a restart here, and would deploy every night.
}}
"""


def _of_haproxy(address: str) -> str:
    return address.replace("unix:", "unix@")


def _variable(service: Service) -> str:
    return service.name.replace("-", "_")
