"""The arguments of `gracehttp serve`, where nothing is wrong with them. Pure.

Each supervisor and each worker reads them, and would keep click for life: one and a half megabytes with what it
imports. So click reads what a person has to be told something about. `options` describes the same options to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from gracehttp.config import OPTIONS, Option
from gracehttp.hints import Named

CONFIG_VARIABLE: Final = "GRACEHTTP_CONFIG"
CONFIG_FLAGS: Final = ("--config", "-c")
CONFIG: Final = "config_file"
"""The name under which the file of options is among the values."""


def flags_of(option: Option) -> Sequence[str]:
    """How `option` may be written: its own flag, those that other servers have for it, and the short one."""
    return [option.flag, *(Named(alias).flag for alias in option.aliases), *([option.short] if option.short else [])]


def negative_flag_of(option: Option) -> str:
    """The flag that says no; "" if there is none."""
    return f"--no-{option.flag.removeprefix('--')}" if option.kind.negatable else ""


def read(arguments: Sequence[str], environ: Mapping[str, str]) -> dict[str, object] | None:
    """The values of the options that `arguments` give, as `config.load` takes them, and CONFIG if there is a file.

    None if they ask for help, or if there is anything to say of them.
    """
    values: dict[str, object] = {}
    if environ.get(CONFIG_VARIABLE):
        values[CONFIG] = Path(environ[CONFIG_VARIABLE])
    switches, with_text = _switches(), _with_text()
    words = iter(arguments)
    for word in words:
        if word[:1] != "-":
            if "app" in values or not word:
                return None
            values["app"] = word
            continue
        flag, joined = _split(word)
        if flag in switches and joined is None:
            name, value = switches[flag]
            values[name] = value
            continue
        text = joined if joined is not None else next(words, None)
        if text is None:
            return None
        if flag in CONFIG_FLAGS:
            values[CONFIG] = Path(text)
        elif (option := with_text.get(flag)) is None:
            return None
        elif option.kind.repeatable:
            before = values.get(option.name, ())
            assert isinstance(before, tuple)
            values[option.name] = (*before, text)
        else:
            values[option.name] = text
    return values


def _split(word: str) -> tuple[str, str | None]:
    """The flag that `word` begins with, and the text that is joined to it, if any: `--workers=4`, `-w4`."""
    if not word.startswith("--"):
        return word[:2], word[2:] or None
    flag, is_joined, text = word.partition("=")
    return flag, text if is_joined else None


def _switches() -> Mapping[str, tuple[str, bool]]:
    """The flags that take no text, each with the name and the value that it gives."""
    yes = {flag: (one.name, True) for one in OPTIONS.values() if one.kind.is_flag for flag in flags_of(one)}
    return yes | {flag: (one.name, False) for one in OPTIONS.values() if (flag := negative_flag_of(one))}


def _with_text() -> Mapping[str, Option]:
    return {
        flag: one for one in OPTIONS.values() if one.name != "app" and not one.kind.is_flag for flag in flags_of(one)
    }
