"""The child of imports.py: imports one application, or one hook, and answers with one JSON object.

`python -m gracehttp.cli.checking.import_probe DESCRIPTOR REQUEST` writes to the file DESCRIPTOR, not to stdout: an
application may print while it is imported.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from gracehttp.applications.importer import add_app_dir, load_application
from gracehttp.errors import GraceHTTPError
from gracehttp.hooks.registry import found as find_hook
from gracehttp.system.surroundings import leave_out_the_working_directory


def probe(request: dict[str, Any]) -> dict[str, Any]:
    """The answer to `request`: the interface of the application ("" for a hook), or the error of its import."""
    try:
        add_app_dir(request["app_dir"])
        if "hook" in request:
            find_hook(request["hook"], request["app_dir"])
            return {"interface": ""}
        found = load_application(request["target"], factory=request["factory"], interface=request["interface"])
    except GraceHTTPError as exc:
        return {"kind": type(exc).__name__, "message": exc.message, "hint": exc.hint, "details": exc.details}
    return {"interface": found.interface}


if __name__ == "__main__":
    leave_out_the_working_directory()
    descriptor, text = sys.argv[1:]
    answer = json.dumps(probe(json.loads(text))).encode()
    with open(int(descriptor), "wb") as out:
        out.write(answer)
    sys.stdout.flush()
    # Threads of the application must not keep this process alive.
    os._exit(0)
