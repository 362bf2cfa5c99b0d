"""What is no import string is refused where options are read, with the spelling that was probably meant."""

from __future__ import annotations

import pytest

from gracehttp.config import server_options
from gracehttp.config.import_string import import_string_hint
from gracehttp.errors import ConfigurationError


@pytest.mark.parametrize(
    "text", ["main", "main:app", "src.main:web.app", "main:create_app()", "main:web.make('a:b', 2, debug=[True])"]
)
def test_import_string_is_taken(text: str) -> None:
    assert import_string_hint(text) is None


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("src/main.py:web", "did you mean src.main:web?"),
        ("main.py", "did you mean main:app?"),
        ("mysite/wsgi.py", "did you mean mysite.wsgi:application?"),
        ("./mysite/asgi.py:app", "did you mean mysite.asgi:app?"),
        ("manage.py", "the application of a project is such as mysite.wsgi:application"),
        ("main:create_app(x)", 'such as main:create_app("prod", debug=False)'),
        ("main:create_app(*[1])", 'such as main:create_app("prod", debug=False)'),
        ("main:create_app('a'", "write it as module:attribute, for example main:app"),
        ("main:", "write it as module:attribute, for example main:app"),
        ("ma-in:app", "write it as module:attribute, for example main:app"),
        ("main:a:b", "write it as module:attribute, for example main:app"),
    ],
)
def test_anything_else_is_a_mistake_in_the_options_with_the_right_spelling(text: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        server_options(text)
    assert caught.value.hint.endswith(hint)
    assert repr(text) in caught.value.message
