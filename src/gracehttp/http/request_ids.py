"""The id of a request: the field X-Request-ID, by which proxies, servers and applications name it in their logs.

No RFC has it. nginx, Envoy, Heroku and frameworks agree on the name, and that an id is some text without spaces.
"""

from __future__ import annotations

import random
import re
from typing import Final

from gracehttp.http.forwarded import Adjust, Forwarding
from gracehttp.http.head import RequestHead

FIELD: Final = b"x-request-id"
MOST_CHARACTERS: Final = 128
# What a UUID, a trace id, a ULID, base64 and the ids of cloud providers are made of: nothing that a log, a shell or a
# page in HTML takes for more than text.
_FIT: Final = re.compile(rb"[0-9A-Za-z._:/+=@~-]{1,%d}" % MOST_CHARACTERS)


class RequestIds:
    """Sees to it that each request has one id: its own if that is fit, else a new one of 32 hexadecimal digits, as a
    trace id has (https://www.w3.org/TR/trace-context/#trace-id).

    To be made in the process that serves: a copy in another process would give the same ids.
    """

    def __init__(self, forwarding: Forwarding, *, echoes: bool) -> None:
        """`echoes`: responses have the id too."""
        self._forwarding = forwarding
        self._echoes = echoes
        self._random = random.Random()  # seeded by the system; an id is no secret  # noqa: S311

    def of(self, peer: tuple[str, int] | None) -> Adjust:
        """As `Forwarding.of`: what the requests of this peer go through."""
        then = self._forwarding.of(peer)
        if then is None:
            return self.adjust
        forwarded = then

        def both(head: RequestHead) -> None:
            self.adjust(head)
            forwarded(head)

        return both

    def adjust(self, head: RequestHead) -> None:
        """See to it for one request."""
        found = [value for name, value in head.headers if name == FIELD]
        if len(found) == 1 and _FIT.fullmatch(found[0]) is not None:
            request_id = found[0]
        else:
            request_id = b"%032x" % self._random.getrandbits(128)
            if found:
                head.headers = [field for field in head.headers if field[0] != FIELD]
            head.headers.append((FIELD, request_id))
            head.kept = None  # this field is of one request alone
        if self._echoes:
            head.echoed = (b"X-Request-ID", request_id)
