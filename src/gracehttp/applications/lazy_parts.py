"""What a framework would load only at its first request, loaded with the application.

Django imports the URLs, and with them the views, when the first request comes. Without this, a worker with a broken
`urls.py` would become ready and answer each request with 500. Django itself is imported by the application or not at
all.
"""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Sequence
from typing import Any

from gracehttp.errors import ApplicationNotFound
from gracehttp.observe.tracebacks import application_traceback, reason_of

_DJANGO_HANDLERS = "django.core.handlers.base"


def load_lazy_parts(name: str) -> None:
    """Load what the application that is called `name` has left for later. Raises `ApplicationNotFound`."""
    handlers = sys.modules.get(_DJANGO_HANDLERS)
    if handlers is not None and _exists(handlers.BaseHandler):
        _load_django_urls(name)


def _exists(kind: type) -> bool:
    """Whether there is an object of `kind`: the application may be wrapped in others, however deep."""
    return any(isinstance(one, kind) for one in gc.get_objects() if issubclass(type(one), kind))


def _load_django_urls(name: str) -> None:
    """Import the URLs, fill the resolver, and run those of Django's system checks that are about URLs."""
    settings = importlib.import_module("django.conf").settings
    module = getattr(settings, "ROOT_URLCONF", None)
    if not module:
        return
    try:
        if isinstance(module, str):
            importlib.import_module(module)  # before the checks, whose own frames would hide the mistake
        problems = _check_urls()
        if not problems:
            importlib.import_module("django.urls").get_resolver().reverse_dict  # noqa: B018  that fills the resolver
    except BaseException as exc:
        raise ApplicationNotFound(
            f"the URLs of {name} ({module}, as Django's ROOT_URLCONF has it) raised {type(exc).__name__} "
            f"while they were loaded{reason_of(exc)}.",
            details=application_traceback(exc),
        ) from exc
    if problems:
        raise ApplicationNotFound(
            f"Django's check of the URLs of {name} ({module}) has found {len(problems)} "
            f"{'error' if len(problems) == 1 else 'errors'}.",
            hint="python manage.py check shows them too; SILENCED_SYSTEM_CHECKS leaves one out",
            details="\n".join(map(str, problems)),
        )


def _check_urls() -> Sequence[Any]:
    checks = importlib.import_module("django.core.checks")
    found = checks.run_checks(tags=[checks.Tags.urls])
    return [one for one in found if one.is_serious() and not one.is_silenced()]
