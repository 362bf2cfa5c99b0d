"""The user's own configuration of `logging`, from a file: the option `--log-config`."""

from __future__ import annotations

import json
import logging.config
import shlex
import tomllib
from pathlib import Path
from typing import Any

from gracehttp.errors import ConfigurationError

YAML_ENDINGS = (".yaml", ".yml")
"""Names of files that `log_config` can't be, but that other servers take (uvicorn's documentation, "Logging")."""

_applied: set[str] = set()


def apply_log_config(path: str) -> None:
    """Give what is in the file to `logging.config.dictConfig`, once in each process: an application may have configured
    `logging` since.

    The file is JSON, or TOML if its name ends with `.toml`. Unlike `dictConfig`, it may leave `version` out, and
    loggers that it doesn't name go on. Raises `ConfigurationError`.
    """
    if path in _applied:
        return
    config = read_log_config(path)
    try:
        logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, **config})
    except Exception as exc:  # it imports and calls what the file names
        cause = f": {exc.__cause__}" if exc.__cause__ is not None else ""
        raise ConfigurationError(
            f"the configuration of logging in {path} can't be used: {exc}{cause}.",
            hint="its form is that of logging.config.dictConfig",
        ) from exc
    _applied.add(path)


def json_of_yaml(path: str) -> str:
    """The command that makes JSON of the file of YAML at `path`, with PyYAML, which its user has."""
    made = f"{path.removesuffix(Path(path).suffix)}.json"
    script = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout, indent=4)"
    return f"python -c {shlex.quote(script)} < {shlex.quote(path)} > {shlex.quote(made)}"


def _conversion(path: str) -> str:
    return f". Of YAML this makes JSON: {json_of_yaml(path)}" if path.endswith(YAML_ENDINGS) else ""


def read_log_config(path: str) -> dict[str, Any]:
    """What the file says. Raises `ConfigurationError` if it can't be read."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        config = tomllib.loads(text) if path.endswith(".toml") else json.loads(text)
    except OSError as exc:
        raise ConfigurationError(f"the configuration of logging {path} can't be read: {exc.strerror}.") from exc
    except ValueError as exc:  # both kinds of DecodeError, and UnicodeDecodeError
        raise ConfigurationError(
            f"the configuration of logging {path} can't be read: {exc}.",
            hint=f"it must be JSON, or TOML in a file whose name ends with .toml{_conversion(path)}",
        ) from exc
    if not isinstance(config, dict):
        raise ConfigurationError(f"the configuration of logging in {path} must be an object.")
    return config
