"""Import strings (`module:attribute`), also those with a call of a factory. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from gracehttp.values import Value


class Call(Value):
    """A factory with its arguments."""

    target: str
    args: tuple[object, ...]
    kwargs: Mapping[str, object]


def read_call(text: str) -> Call | None:
    """What `text` says if it is an import string with a call of literal arguments: `main:create_app("prod")`."""
    module_name, separator, expression = text.partition(":")
    if not separator or not expression.rstrip().endswith(")"):
        return None
    import ast  # most applications are named without a call

    try:
        call = ast.parse(expression.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or any(keyword.arg is None for keyword in call.keywords):
            return None
        args = tuple(ast.literal_eval(argument) for argument in call.args)
        kwargs = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError):
        return None
    return Call(f"{module_name}:{ast.unparse(call.func)}", args, kwargs)


def import_string_hint(text: str) -> str | None:
    """A hint if `text` can't be an import string, else None.

    An import string is `module:attribute`, with dots in either part, or `module` alone.
    """
    if (call := read_call(text)) is not None:
        text = call.target
    module_name, separator, attribute = text.partition(":")
    if module_name.endswith(".py") or "/" in module_name or "\\" in module_name:
        module = module_name.removesuffix(".py").replace("\\", "/").strip("./").replace("/", ".")
        name = module.rpartition(".")[2]
        if name == "manage":
            return "that runs Django's commands; the application of a project is such as mysite.wsgi:application"
        usual = "application" if name in ("asgi", "wsgi") else "app"  # as django-admin startproject names it
        return f"name the module, not its file: did you mean {module}:{(attribute or usual).removesuffix('()')}?"
    if attribute.endswith(")"):
        return 'a call of a factory takes literal arguments, such as main:create_app("prod", debug=False)'
    parts = [*module_name.split("."), *(attribute.split(".") if separator else [])]
    if not all(part.isidentifier() for part in parts):
        return "write it as module:attribute, for example main:app"
    return None
