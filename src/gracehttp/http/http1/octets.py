"""What is done with the bytes of each response.

Compiled modules call the function of the same name in `octets.pxd` instead, which copies them without asking the two
objects for their buffers.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Final, cast

joined: Final = cast("Callable[[bytes, bytes], bytes]", operator.concat)
"""Takes two objects of `bytes`, gives one with the bytes of both."""
