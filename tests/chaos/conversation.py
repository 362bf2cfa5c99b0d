"""One connection in the hands of a test, byte by byte. It retries nothing and accounts for everything."""

from __future__ import annotations

import itertools
import socket

from deadlines import DEADLINE_SECONDS

_NUMBERS = itertools.count(1)


class Conversation:
    """Requests on one connection; every answer must be whole, its own, and the next in order."""

    def __init__(self, where, *, receive_buffer_bytes=None):
        """`where` is a port, or the path of a Unix socket."""
        self.number = next(_NUMBERS)
        self.asked = 0
        self.answered = 0
        self.pids: list[int] = []
        self.closing = False
        self._expected: list[tuple[str, int, int, int]] = []
        self._received = b""
        family, address = (socket.AF_INET, ("127.0.0.1", where)) if isinstance(where, int) else (socket.AF_UNIX, where)
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(DEADLINE_SECONDS)
        if receive_buffer_bytes is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.sock.connect(address)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.sock.close()

    def request(self, *, method="GET", version="1.1", fields="", body=b"", size=0, **query):
        """The bytes of the next request, whose answer is expected from now on."""
        self.asked += 1
        self._expected.append((method, self.asked, len(body), size))
        more = "".join(f"&{name}={value}" for name, value in query.items())
        if body:
            fields += f"Content-Length: {len(body)}\r\n"
        target = f"/?c={self.number}&n={self.asked}&size={size}{more}"
        return f"{method} {target} HTTP/{version}\r\nHost: test\r\n{fields}\r\n".encode() + body

    def send(self, data):
        self.sock.sendall(data)

    def ask(self, **request):
        """One request and its answer; returns the PID that answered."""
        self.send(self.request(**request))
        return self.answer()

    def answer(self):
        """Read the next answer to its last byte and hold it against its request; returns the PID that answered."""
        method, count, body_bytes, size = self._expected.pop(0)
        while b"\r\n\r\n" not in self._received:
            self._receive()
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").lower().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines)
        assert status == "http/1.1 200 ok", (status, self)
        assert not self.closing, f"an answer after the last one: {self}"
        self.closing = fields.get("connection") == "close"
        length = int(fields["content-length"])
        pieces, missing = [self._received[:length]], length - len(self._received)
        self._received = self._received[length:]
        while missing > 0:
            piece = self.sock.recv(65536)
            if not piece:
                raise ConnectionError(f"closed with {missing} bytes missing: {self}")
            assert len(piece) <= missing or self._expected, f"bytes that nobody asked for: {self}"
            pieces.append(piece[:missing])
            self._received = piece[missing:]
            missing -= len(piece)
        first, _, rest = b"".join(pieces).partition(b"\n")
        pid, *echoed = first.decode().split(" ")
        assert echoed == [method, str(self.number), str(count), str(body_bytes)], (first, self)
        assert rest == b"".join(b"%07d\n" % number for number in range(size // 8)), self
        self.answered += 1
        self.pids.append(int(pid))
        return int(pid)

    def wait_for_continue(self):
        """Read `100 Continue`, and nothing else."""
        expected = b"HTTP/1.1 100 Continue\r\n\r\n"
        while len(self._received) < len(expected):
            self._receive()
        assert self._received == expected, self
        self._received = b""

    def wait_for_bytes(self):
        """Wait until the first bytes of an answer are here."""
        self._receive()

    def _receive(self):
        piece = self.sock.recv(65536)
        if not piece:
            raise ConnectionError(f"closed without notice: {self}")
        self._received += piece

    def assert_never_back(self, generations):
        """The generation that answers never goes back on one connection."""
        seen = [generations[pid] for pid in self.pids]
        assert seen == sorted(seen), (seen, self)

    def __repr__(self):
        return (
            f"<connection {self.number}: {self.asked} asked, {self.answered} answered by {self.pids[-5:]}, "
            f"{self._received[:200]!r} unread, closing {self.closing}>"
        )
