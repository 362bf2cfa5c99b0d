"""Tries the entries of `[hooks]`: their events, and whether their functions can be loaded."""

from __future__ import annotations

from gracehttp.cli.checking.imports import ask_probe


def read_hook(event: str, hook: object, place: str) -> tuple[str, ...]:
    """The import strings in an entry of the file. Raises `ConfigurationError` if there is no such event, or if one is
    no import string."""
    from gracehttp.hooks.registry import Hooks  # help must not wait for it

    hooks = Hooks()
    hooks.add_named(event, hook, place)
    return hooks.named


def check_hook(name: str, app_dir: str, timeout_seconds: float) -> str:
    """Load the hook `name` in a process of its own. Returns what was tried. Raises what `serve` would tell of it."""
    ask_probe(name, {"hook": name, "app_dir": app_dir}, timeout_seconds)
    return f"hook {name}"
