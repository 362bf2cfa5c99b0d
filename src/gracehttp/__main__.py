"""`python -m gracehttp` is the command `gracehttp`."""

from __future__ import annotations

from gracehttp.cli import main

if __name__ == "__main__":
    main()
