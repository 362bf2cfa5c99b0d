"""A Dockerfile, a compose file, and a Deployment of Kubernetes."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping

from gracehttp.cli.examples.service import Service
from gracehttp.config import Configuration

STOP_DELAY = "5s"
_USER = 10001
_PERIOD_SECONDS = 5


def dockerfile(service: Service) -> str:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = json.dumps(["gracehttp", *service.arguments(**_in_a_container(service))])
    package = f"gracehttp{_extras(service)}"
    exposed = "".join(f"EXPOSE {port}\n" for port in service.ports)
    return f"""\
{_warning(service)}# The first stage has a C compiler, for what has no wheel; the image has only what it made.
FROM python:{python} AS build
WORKDIR /build
RUN python -m venv /venv
COPY requirements.txt .
# Where gracehttp isn't published, copy a wheel of it (pip wheel) beside this file, COPY it here, and install that:
#   COPY gracehttp-*.whl ./
#   RUN /venv/bin/pip install --no-cache-dir "$(ls ./gracehttp-*.whl){_extras(service)}" -r requirements.txt
RUN /venv/bin/pip install --no-cache-dir {json.dumps(package) if "[" in package else package} -r requirements.txt

FROM python:{python}-slim
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
COPY --from=build /venv /venv
WORKDIR /app
COPY . .
# A number, so that Kubernetes can see that it isn't root.
USER {_USER}:{_USER}
{exposed}STOPSIGNAL SIGTERM
# An array, so that the supervisor is PID 1 and gets the signal. It reaps orphans, so that no --init is needed.
# Stop it with more patience than the default of 10 s: docker stop -t {service.stop_seconds}
CMD {command}
"""


def _extras(service: Service) -> str:
    """The extras of gracehttp that the options need: `[h2,tls-handover]`, or ""."""
    servers = service.configuration.servers
    needed = {
        "h2": any(server.h2 == "on" or server.h2c for server in servers),
        "tls-handover": any(server.tls and server.tls_handover for server in servers),
        "reload": service.configuration.process.reload,
    }
    names = ",".join(name for name, is_needed in needed.items() if is_needed)
    return f"[{names}]" if names else ""


def compose(service: Service) -> str:
    configuration = service.configuration
    published = "".join(f'      - "{port}:{port}"\n' for port in service.ports)
    ports = f"    ports:\n{published}" if published else ""
    arguments = _in_a_container(service)
    port = service.admin_port or (service.ports[0] if service.ports else None)
    health = ""
    if port is not None and (service.admin_port is not None or not configuration.servers[0].tls):
        path = configuration.process.ready_path or "/readyz"
        if service.admin_port is None:
            arguments.setdefault("ready_path", path)
        script = f"import urllib.request as r; r.urlopen('http://127.0.0.1:{port}{path}')"
        health = f"""\
    healthcheck:
      test: {json.dumps(["CMD", "python", "-c", script])}
      interval: 10s
      timeout: 5s
      start_period: {service.start_seconds}s
"""
    else:
        why = "it would need TLS and the name in the certificate" if port is not None else "no TCP port is served"
        health = f"    # No health check: {why}. With --admin HOST:PORT there is one, on a port of its own.\n"
    command = json.dumps(["gracehttp", *service.arguments(**arguments)])
    return f"""\
{_warning(service)}# compose.yaml, beside the Dockerfile of `gracehttp example dockerfile`
services:
  {service.name}:
    build: .
    command: {command}
{ports}    restart: unless-stopped
    # stop_delay + drain_timeout + 10 s for the lifespan shutdown + 5 s to spare: then it is killed.
    stop_grace_period: {service.stop_seconds}s
{health}"""


def kubernetes(service: Service) -> str:
    process = service.configuration.process
    own = service.admin_port is not None
    port = service.ports[0] if service.ports else 8000
    arguments = {
        **_in_a_container(service),
        "live_path": process.live_path or "/livez",
        "ready_path": process.ready_path or "/readyz",
        "stop_delay": f"{process.stop_delay:g}s",
    }
    image_args = json.dumps(service.arguments(**arguments))
    admin = f"            - name: admin\n              containerPort: {service.admin_port}\n" if own else ""
    scheme = "" if own or not service.configuration.servers[0].tls else "\n              scheme: HTTPS"
    probes = "".join(
        _probe(kind, "admin" if own else "http", str(arguments[path]), failures, scheme)
        for kind, path, failures in (
            ("startupProbe", "ready_path", math.ceil(service.start_seconds / _PERIOD_SECONDS)),
            ("readinessProbe", "ready_path", 1),
            ("livenessProbe", "live_path", 6),
        )
    )
    return f"""\
{_warning(service)}apiVersion: apps/v1
kind: Deployment
metadata:
  name: {service.name}
spec:
  replicas: 2
  strategy:
    rollingUpdate:
      maxUnavailable: 0
      maxSurge: 1
  selector:
    matchLabels:
      app: {service.name}
  template:
    metadata:
      labels:
        app: {service.name}
    spec:
      # stop_delay ({process.stop_delay:g} s, in which endpoints and load balancers hear of the end)
      # + drain_timeout ({process.drain_timeout:g} s) + 10 s for the lifespan shutdown + 5 s to spare.
      terminationGracePeriodSeconds: {service.stop_seconds}
      securityContext:
        runAsNonRoot: true
        runAsUser: {_USER}
        seccompProfile:
          type: RuntimeDefault
      containers:
        - name: {service.name}
          image: {service.name}:latest
          command: ["gracehttp"]
          args: {image_args}
          ports:
            - name: http
              containerPort: {port}
{admin}          securityContext:
            allowPrivilegeEscalation: false
            capabilities:
              drop: ["ALL"]
          resources:
            requests:
              cpu: 250m
              memory: 128Mi
{probes}---
apiVersion: v1
kind: Service
metadata:
  name: {service.name}
spec:
  selector:
    app: {service.name}
  ports:
    - name: http
      port: 80
      targetPort: http
"""


def with_stop_delay(given: Mapping[str, object], configuration: Configuration) -> dict[str, object]:
    """`given`, and a stop delay if there is none: endpoints are updated while a pod is told to stop, not before."""
    return {**given} if configuration.process.stop_delay else {**given, "stop_delay": STOP_DELAY}


def _warning(service: Service) -> str:
    """Comments that stand first in a file."""
    what = f"nothing outside of the container reaches it. Write 0.0.0.0, or [::], in {service.config_file}."
    lines = [f"# {address} is a loopback address: {what}\n" for address in service.out_of_reach]
    process = service.configuration.process
    if any(getattr(process, name) is not None and name not in service.given for name in ("user", "group")):
        lines.append(f"# Take user and group out of {service.config_file}: only root can serve with them.\n")
    return "".join(lines)


def _probe(kind: str, port: str, path: str, failures: int, scheme: str) -> str:
    return f"""\
          {kind}:
            httpGet:
              path: {path}
              port: {port}{scheme}
            periodSeconds: {_PERIOD_SECONDS}
            timeoutSeconds: 3
            failureThreshold: {failures}
"""


def _in_a_container(service: Service) -> dict[str, object]:
    """What is different in a container: other machines reach it, and its image or pod names the user."""
    return {**service.reachable(), "user": None, "group": None}  # it has a user already, which is not root
