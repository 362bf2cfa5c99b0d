"""What was probably meant by a mistake in the options. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gracehttp.hints import Named, hint


def import_string_hint(text: str) -> str | None:
    """A hint if `text` can't be an import string, else None.

    An import string is `module:attribute`, with dots in either part, or `module` alone.
    """
    module_name, separator, attribute = text.partition(":")
    wanted = (attribute or "app").removesuffix("()")
    if module_name.endswith(".py") or "/" in module_name or "\\" in module_name:
        module = module_name.removesuffix(".py").replace("\\", "/").strip("./").replace("/", ".")
        return f"name the module, not its file: did you mean {module}:{wanted}?"
    if attribute.endswith("()"):
        called = f"{module_name}:{wanted}"
        return hint("name the attribute, without a call: did you mean {} {}?", Named("factory", True), called)
    parts = [*module_name.split("."), *(attribute.split(".") if separator else [])]
    if not all(part.isidentifier() for part in parts):
        return "write it as module:attribute, for example main:app"
    return None


def nearest_name(name: str, known: Collection[str]) -> str | None:
    """The one of `known` that has the words of `name` in another order, else the one that is spelled most alike."""
    import difflib  # read only where something is wrong

    words = sorted(name.split("_"))
    same = [one for one in known if sorted(one.split("_")) == words]
    alike = same or difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return alike[0] if alike else None


def mistyped_variables(environ: Mapping[str, str], prefix: str, known: Collection[str]) -> list[tuple[str, str]]:
    """Variables with `prefix` that are none of `known` but look like one, each with the one that was probably meant."""
    unknown = [name for name in environ if name.startswith(prefix) and name not in known]
    if not unknown:
        return []
    import difflib  # read only where something may be wrong

    matches = [(name, difflib.get_close_matches(name, known, n=1, cutoff=0.9)) for name in sorted(unknown)]
    return [(name, match[0]) for name, match in matches if match]
