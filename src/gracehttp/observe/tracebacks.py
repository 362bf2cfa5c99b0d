"""The part of a traceback that the author of the application can act on."""

from __future__ import annotations

import os
import traceback
from types import TracebackType

_OWN_DIRECTORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_COMPILED = "gracehttp/"  # a compiled frame names its file as it was given to Cython, by a path of `sys.path`
_IMPORT_MACHINERY = os.sep + "importlib" + os.sep


def application_frames(tb: TracebackType | None) -> TracebackType | None:
    """A copy of `tb` without the frames of gracehttp and of importlib.

    None if no frame of the application is left: then the fault was found before or after its code ran.
    """
    kept = []
    while tb is not None:
        if not belongs_to_the_server(tb.tb_frame.f_code.co_filename):
            kept.append(tb)
        tb = tb.tb_next
    cut: TracebackType | None = None
    for frame in reversed(kept):
        cut = TracebackType(cut, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return cut


def application_traceback(error: BaseException) -> str:
    """`error` as Python prints it, with the frames of the application only; without any, just the last line."""
    cut = application_frames(error.__traceback__)
    if cut is None:
        return "".join(traceback.format_exception_only(error))
    return "".join(traceback.format_exception(type(error), error, cut))


def reason_of(error: BaseException) -> str:
    """The text of `error` on one line, to follow its name in a sentence: ": no such table". May be empty."""
    first = str(error).strip().partition("\n")[0].rstrip(".")
    return f": {first}" if first else ""


def belongs_to_the_server(filename: str) -> bool:
    """Whether `filename` is a file of gracehttp, or of the import system that it calls."""
    return filename.startswith((_OWN_DIRECTORY, _COMPILED, "<frozen importlib")) or _IMPORT_MACHINERY in filename
