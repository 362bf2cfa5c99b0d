"""Files of variables: a line is KEY=VALUE, as for `docker run --env-file` and the shell.

    # a comment
    DATABASE_URL=postgres://localhost/shop   # another one
    export GREETING='as it is, # too'
    MESSAGE="two\\nlines"

Between double quotes, a backslash makes n, r and t what they are in Python, and any other character itself. Nothing is
put in the place of $NAME.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, MutableMapping

from gracehttp.errors import ConfigurationError
from gracehttp.hints import Named, hint

_LINE = re.compile(
    r"""\s*(?:export\s+)?(?P<key>[A-Za-z_][A-Za-z0-9_.-]*)\s*=[ \t]*
    (?: '(?P<raw>[^']*)' | "(?P<quoted>(?:[^"\\]|\\.)*)" | (?P<bare>[^'"#\s](?:(?!\s\#)[^\0])*?)? )
    (?:\s+\#.*|\s*)""",
    re.VERBOSE,
)
_ESCAPED = re.compile(r"\\(.)")
_MEANINGS = {"n": "\n", "r": "\r", "t": "\t"}


def read(text: str, name: str) -> dict[str, str]:
    """The variables in `text`. Errors call it `name`. Pure; raises `ConfigurationError`."""
    variables = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ConfigurationError(
                f"line {number} of the environment file {name} is not KEY=VALUE.",
                hint="quotes must be closed in the same line; a comment begins with #",
            )
        raw, quoted = match["raw"], match["quoted"]
        if quoted is not None:
            raw = _ESCAPED.sub(lambda escaped: _MEANINGS.get(escaped[1], escaped[1]), quoted)
        variables[match["key"]] = raw if raw is not None else (match["bare"] or "")
    return variables


def completed(environ: Mapping[str, str], paths: Iterable[str]) -> Mapping[str, str]:
    """`environ`, and the variables of the files at `paths` that it doesn't have; of those, a later file wins.

    Raises `ConfigurationError` if a file can't be read.
    """
    variables: dict[str, str] = {}
    for path in paths:
        try:
            with open(path, encoding="utf-8-sig") as file:
                variables.update(read(file.read(), path))
        except OSError as exc:
            raise ConfigurationError(
                f"cannot read the environment file {path}: {exc.strerror}.", hint=hint("see {}", Named("env_file"))
            ) from None
        except UnicodeDecodeError:
            raise ConfigurationError(f"the environment file {path} is not UTF-8.") from None
    return {**variables, **environ} if variables else environ


def add_variables(environ: MutableMapping[str, str], paths: Collection[str]) -> None:
    """Give `environ` the variables of the files at `paths` that it doesn't have. Raises as `completed`."""
    if paths:
        environ.update(completed(environ, paths))
