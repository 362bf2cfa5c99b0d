"""Serves an application with freastal, which has functions and no command line."""

from __future__ import annotations

import argparse
import importlib
import os
import sys


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("app")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--interface", choices=("asgi", "wsgi"), required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--certfile")
    parser.add_argument("--keyfile")
    options = parser.parse_args()
    import freastal

    sys.path.insert(0, os.getcwd())
    module, _, attribute = options.app.partition(":")
    app = getattr(importlib.import_module(module), attribute)
    serve = freastal.serve_asgi if options.interface == "asgi" else freastal.serve
    serve(
        app,
        host="127.0.0.1",
        port=options.port,
        workers=options.workers,
        certfile=options.certfile,
        keyfile=options.keyfile,
    )


if __name__ == "__main__":
    main()
