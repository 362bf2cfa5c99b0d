"""The form of an import string, `module:attribute`, and what was probably meant by something else. Pure."""

from __future__ import annotations


def misspelling(text: str) -> str | None:
    """A hint at how `text` is to be written, if no module could have it; None if it is an import string.

    `module:attribute` may have dots in either part, and `module` alone is enough.
    """
    module_name, separator, attribute = text.partition(":")
    wanted = (attribute or "app").removesuffix("()")
    if module_name.endswith(".py") or "/" in module_name or "\\" in module_name:
        module = module_name.removesuffix(".py").replace("\\", "/").strip("./").replace("/", ".")
        return f"a file is not named, but its module: did you mean {module}:{wanted}?"
    if attribute.endswith("()"):
        return f"an attribute is named, not a call: did you mean --factory {module_name}:{wanted}?"
    parts = [*module_name.split("."), *(attribute.split(".") if separator else [])]
    if not all(part.isidentifier() for part in parts):
        return "write it as module:attribute, for example main:app"
    return None
