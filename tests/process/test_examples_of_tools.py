"""`gracehttp example`: each file is what its tool takes, and its times fit the options."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from deadlines import DEADLINE_SECONDS

yaml = pytest.importorskip("yaml")

OPTIONS = {
    "plain": ("main:app", "-b", "127.0.0.1:8000", "--log-file", "app.log", "--access-log-file", "access.log"),
    "admin": (
        *("main:app", "-w", "2", "--bind", "0.0.0.0:8080", "--admin", "127.0.0.1:9000"),
        *("--agent-check", ":9001", "--stop-delay", "7s", "--drain-timeout", "90s"),
    ),
    "unix": ("main:app", "--bind", "unix:/run/shop/app.sock", "--ready-path", "/healthz", "--access-log"),
    "tls": ("main:app", "--bind", "https://:8443", "--certfile", "cert.pem", "--header", "X-A: 100% $x"),
    "user": ("main:app", "--bind", ":80", "--user", "nobody"),
    "extras": ("main:app", "--bind", ":8000", "--h2c"),
    "low": ("main:app", "--bind", "0.0.0.0:80"),
}
BUDGETS = {"plain": 45, "admin": 112, "unix": 45, "tls": 45, "user": 45, "extras": 45, "low": 45}
"""stop_delay + drain_timeout + 10 + 5."""

options = pytest.mark.parametrize("options", list(OPTIONS))


def example(folder, tool, options):
    shop = folder / "shop"
    shop.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "gracehttp", "example", tool, *OPTIONS[options]],
        cwd=shop,
        capture_output=True,
        text=True,
        env={**os.environ, "GRACEHTTP_LOG_FORMAT": "json"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def check(*command, cwd):
    name = shutil.which(command[0], path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
    if name is None:
        pytest.skip(f"{command[0]} is not installed")
    home = {**os.environ, "HOME": str(cwd), "XDG_DATA_HOME": str(cwd), "XDG_CONFIG_HOME": str(cwd)}
    done = subprocess.run(
        [name, *command[1:]], cwd=cwd, capture_output=True, text=True, timeout=DEADLINE_SECONDS, env=home
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@options
def test_systemd(tmp_path, options):
    text = example(tmp_path, "systemd", options)
    (tmp_path / "shop.service").write_text(text)
    said = check("systemd-analyze", "verify", "--man=no", str(tmp_path / "shop.service"), cwd=tmp_path)
    assert "shop.service" not in said, said
    assert f"TimeoutStopSec={BUDGETS[options]}\n" in text
    assert ("RuntimeDirectory=shop\n" in text) == (options == "unix")
    # Only root can start workers as somebody else; somebody else needs a right for a port below 1024.
    assert ("\nUser=" in text) == (options != "user")
    assert ("AmbientCapabilities=CAP_NET_BIND_SERVICE\n" in text) == (options == "low")
    assert "--log-format json" in text, "an environment variable is an option too"


@options
def test_kubernetes(tmp_path, options):
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    text = example(tmp_path, "kubernetes", options)
    documents = list(yaml.safe_load_all(text))
    for document in documents:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    pod = documents[0]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    delay = 7 if options == "admin" else 5
    assert pod["terminationGracePeriodSeconds"] == BUDGETS[options] + (0 if options == "admin" else 5)
    assert container["args"][container["args"].index("--stop-delay") + 1] == f"{delay}s"
    assert "127.0.0.1" not in json.dumps(container), "nothing outside of a pod reaches its loopback"
    names = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert container["readinessProbe"]["httpGet"]["port"] == ("admin" if options == "admin" else "http")
    assert names.get("admin") == (9000 if options == "admin" else None)
    assert container["startupProbe"]["failureThreshold"] * 5 >= 125
    accepted = subprocess.run(
        [sys.executable, "-m", "gracehttp", "serve", *container["args"][1:], "--help"], capture_output=True
    )
    assert accepted.returncode == 0


@options
def test_compose_and_dockerfile(tmp_path, options):
    text = example(tmp_path, "compose", options)
    (service,) = yaml.safe_load(text)["services"].values()
    assert service["stop_grace_period"] == f"{BUDGETS[options]}s"
    assert service["command"][0] == "gracehttp"
    assert ("healthcheck" in service) == (options not in ("unix", "tls"))
    assert ("# No health check: " in text) == ("healthcheck" not in service)
    assert "--user" not in service["command"], "the image says as whom it runs"
    dockerfile = example(tmp_path, "dockerfile", options)
    (command,) = re.findall(r"^CMD (.*)$", dockerfile, re.MULTILINE)
    assert json.loads(command)[:3] == ["gracehttp", "serve", "main:app"]
    assert "\nUSER 10001:10001\n" in dockerfile
    package = '"gracehttp[h2]"' if options == "extras" else "gracehttp"
    assert f"\nRUN /venv/bin/pip install --no-cache-dir {package} -r" in dockerfile
    assert "copy a wheel" in dockerfile
    assert f"docker stop -t {BUDGETS[options]}\n" in dockerfile


@options
def test_nginx(tmp_path, options):
    site = example(tmp_path, "nginx", options)
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/nginx.pid;\nevents {{}}\nhttp {{\n{site.replace('listen 80;', 'listen 18080;')}\n}}\n"
    )
    check("nginx", "-t", "-q", "-p", str(tmp_path), "-c", "nginx.conf", "-e", "stderr", cwd=tmp_path)


@options
def test_haproxy(tmp_path, options):
    text = example(tmp_path, "haproxy", options)
    (tmp_path / "haproxy.cfg").write_text(text)
    check("haproxy", "-c", "-f", "haproxy.cfg", cwd=tmp_path)
    assert ("agent-check agent-port 9001" in text) == (options == "admin")
    assert ("uri /healthz" in text) == (options == "unix")


@options
def test_caddy(tmp_path, options):
    (tmp_path / "Caddyfile").write_text(example(tmp_path, "caddy", options))
    said = check("caddy", "validate", "--adapter", "caddyfile", "--config", "Caddyfile", cwd=tmp_path)
    assert "not formatted" not in said


@options
def test_logrotate(tmp_path, options):
    text = example(tmp_path, "logrotate", options)
    (tmp_path / "rotation").write_text(text)
    os.chmod(tmp_path / "rotation", 0o644)
    check("logrotate", "--debug", "--state", str(tmp_path / "state"), str(tmp_path / "rotation"), cwd=tmp_path)
    files = f"{tmp_path}/shop/app.log {tmp_path}/shop/access.log" if options == "plain" else "/var/log/shop/*.log"
    assert f"\n{files} {{\n" in text


def test_a_file_of_options_counts_too(tmp_path):
    (tmp_path / "options.toml").write_text('app = "main:app"\ndrain_timeout = "2m"\nbind = ":9000"\n')
    done = subprocess.run(
        [sys.executable, "-m", "gracehttp", "example", "systemd", "-c", "options.toml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "TimeoutStopSec=135\n" in done.stdout
    assert "serve --config options.toml\n" in done.stdout


def test_a_user_in_a_file_can_not_be_had_in_a_container(tmp_path):
    (tmp_path / "options.toml").write_text('app = "main:app"\nuser = "nobody"\nbind = "0.0.0.0:8000"\n')
    done = subprocess.run(
        [sys.executable, "-m", "gracehttp", "example", "dockerfile", "-c", "options.toml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("# Take user and group out of options.toml: only root can serve with them.\n")


@pytest.mark.parametrize("tool", ["dockerfile", "compose", "kubernetes"])
def test_loopback_addresses_of_a_file_are_told(tmp_path, tool):
    (tmp_path / "options.toml").write_text('app = "main:app"\nadmin = "127.0.0.1:9000"\nbind = ":8000"\n')
    done = subprocess.run(
        [sys.executable, "-m", "gracehttp", "example", tool, "-c", "options.toml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith(
        "# 127.0.0.1:9000 is a loopback address: nothing outside of the container reaches it."
    )
    assert done.stdout.count("loopback address") == 1
