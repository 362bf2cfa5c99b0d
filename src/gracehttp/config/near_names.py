"""Which name was probably meant by one that is unknown. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping


def nearest_name(name: str, known: Collection[str]) -> str | None:
    """The one of `known` that has the words of `name` in another order, else the one that is spelled most alike."""
    import difflib  # read only where something is wrong

    words = sorted(name.split("_"))
    same = [one for one in known if sorted(one.split("_")) == words]
    alike = same or difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return alike[0] if alike else None


def near_variables(environ: Mapping[str, str], prefix: str, known: Collection[str]) -> list[tuple[str, str]]:
    """Variables with `prefix` that are none of `known` but look like one, each with the one that was probably meant."""
    unknown = [name for name in environ if name.startswith(prefix) and name not in known]
    if not unknown:
        return []
    import difflib  # read only where something may be wrong

    matches = [(name, difflib.get_close_matches(name, known, n=1, cutoff=0.9)) for name in sorted(unknown)]
    return [(name, match[0]) for name, match in matches if match]
