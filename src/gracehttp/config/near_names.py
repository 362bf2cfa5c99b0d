"""Which name was probably meant by one that is unknown: one of ours that is near, or what another server's does here.

Pure. An option is named as its reader writes it: as a flag, as a key of a file, as a variable.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

_NEAR = 0.75
"""How alike two names must be, from 0 to 1 (difflib). `bogus` and `backlog` are at 0.5, `wrokers` and `workers` at
0.86."""
_VERY_NEAR = 0.9
_FLAG = re.compile(r"--([a-z][a-z0-9-]*)")


def nearest_name(name: str, known: Collection[str]) -> str | None:
    """The one of `known` that has the words of `name` in another order, else the one that is spelled most alike, if it
    is near."""
    import difflib  # read only where something is wrong

    words = sorted(name.split("_"))
    same = [one for one in known if sorted(one.split("_")) == words]
    alike = same or difflib.get_close_matches(name, known, n=1, cutoff=_NEAR)
    return alike[0] if alike else None


def near_flag(flag: str, known: Collection[str]) -> str | None:
    """The flag of the one of `known` that is near `flag`, such as `--workers` for `--wrokers`."""
    near = nearest_name(_as_name(flag), known) if flag.startswith("--") else None
    return None if near is None else f"--{near.replace('_', '-')}"


def foreign_flag(flag: str) -> str | None:
    """What to write instead of `flag`, if another server has it; None if none has."""
    from gracehttp.config.foreign_names import FOREIGN  # read only where something is wrong

    found = FOREIGN.get(_as_name(flag))
    return None if found is None else f"{flag} is an option of {found[0]}; here: {found[1]}"


def foreign_key(key: str) -> str | None:
    """See `foreign_flag`. For a key of a file or a keyword argument."""
    from gracehttp.config.foreign_names import FOREIGN  # read only where something is wrong

    found = FOREIGN.get(_as_name(key))
    return None if found is None else f"{key} is an option of {found[0]}; here: {found[2]}"


def near_variables(environ: Mapping[str, str], prefix: str, known: Collection[str]) -> list[tuple[str, str]]:
    """Variables with `prefix` that are none of `known` but look like one, or like an option of another server, each
    with the one that was probably meant."""
    unknown = [name for name in environ if name.startswith(prefix) and name not in known]
    if not unknown:
        return []
    found = [(name, _foreign_variable(name, prefix, known) or _near_variable(name, known)) for name in sorted(unknown)]
    return [(name, meant) for name, meant in found if meant]


def _near_variable(name: str, known: Collection[str]) -> str:
    import difflib  # read only where something may be wrong

    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=_VERY_NEAR)), "")


def _foreign_variable(name: str, prefix: str, known: Collection[str]) -> str:
    """The variables of the options that do what that of another server does, "" if there is none."""
    from gracehttp.config.foreign_names import FOREIGN  # read only where something may be wrong

    found = FOREIGN.get(name.removeprefix(prefix).lower())
    flags = [] if found is None else _FLAG.findall(found[1])
    meant = [prefix + flag.replace("-", "_").upper() for flag in flags]
    return " or ".join(one for one in dict.fromkeys(meant) if one in known)


def _as_name(written: str) -> str:
    return written if len(written) == 2 and written[0] == "-" else written.lstrip("-").lower().replace("-", "_")
