"""How the end of a body is told (RFC 9112 section 6.3).

Compiled modules take the numbers of the same names in `framing.pxd` instead, which cost no look-up.
"""

from __future__ import annotations

from typing import Final

NO_BODY: Final = 0
"""HEAD, 204, 304: the head is all."""
COUNTED: Final = 1
"""Content-Length."""
CHUNKED: Final = 2
"""Transfer-Encoding."""
UNTIL_CLOSE: Final = 3
"""HTTP/1.0 without Content-Length."""
