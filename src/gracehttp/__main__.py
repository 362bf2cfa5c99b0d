"""`python -m gracehttp` is the command `gracehttp`."""

from __future__ import annotations

from gracehttp.cli import main
from gracehttp.system.surroundings import leave_out_the_working_directory

if __name__ == "__main__":
    leave_out_the_working_directory()
    main()
