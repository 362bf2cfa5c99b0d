"""How an option is written: as on the command line, or as a keyword argument in a script. Pure."""

from __future__ import annotations

import re

from gracehttp.config.model import OPTIONS
from gracehttp.config.types import Choice, Flag

_FLAG = re.compile(r"--([a-z][a-z-]*)(?: ([a-z]+)\b)?")
_A_COMMAND = "gracehttp "


def in_python(text: str) -> str:
    """`text` with the options in it as a script writes them: `app_dir=` for `--app-dir`, `interface="asgi"` for
    `--interface asgi`. A text that names a command of the command line stays as it is."""
    return text if _A_COMMAND in text else _FLAG.sub(_as_keyword, text)


def _as_keyword(flag: re.Match[str]) -> str:
    name, word = flag[1].replace("-", "_"), flag[2]
    if name not in OPTIONS:
        return flag[0]
    kind = OPTIONS[name].kind
    if isinstance(kind, Choice) and word in kind.words:
        return f'{name}="{word}"'
    rest = "" if word is None else f" {word}"
    return f"{name}=True{rest}" if isinstance(kind, Flag) else f"{name}={rest}"
