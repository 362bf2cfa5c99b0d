"""Clients in the thread of the server's loop: they send and read when a test says so, and never block."""

from __future__ import annotations

import contextlib
import socket
import ssl

import trustme

AUTHORITY = trustme.CA()
ISSUED = AUTHORITY.issue_cert("localhost")


class PlainEnd:
    """A client, which looks for bytes only when it is told to."""

    def __init__(self, sock):
        sock.setblocking(False)
        self.socket = sock
        self.data = bytearray()
        self.over = False
        """The server's half is over, or the client has gone."""

    def look(self, most=1 << 30):
        """Take what has come, at most about so many bytes. Tells whether there was something."""
        came = False
        while most > 0 and not self.over:
            try:
                data = self.socket.recv(min(most, 65536))
            except BlockingIOError:
                break
            except ConnectionError:
                data = b""
            self.over = not data
            most -= len(data)
            came = True
            self._take(data)
        return came

    def _take(self, data):
        self.data += data

    def say(self, data):
        """All of it at once; the kernel has room for what tests say so."""
        with contextlib.suppress(OSError):  # the server has closed meanwhile
            self.socket.send(self._said(data))

    def _said(self, data):
        return data

    def end(self):
        """Our half."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def leave(self):
        self.over = True
        self.socket.close()


class TlsEnd(PlainEnd):
    def __init__(self, sock, alpn=()):
        PlainEnd.__init__(self, sock)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        AUTHORITY.configure_trust(context)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")

    def shake_hands(self):
        """Go on with the handshake; tells whether it is done."""
        with contextlib.suppress(BlockingIOError):
            self._incoming.write(self.socket.recv(65536))
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            done = False
        else:
            done = True
        self.socket.send(self._outgoing.read())
        return done

    def _take(self, data):
        self._incoming.write(data)
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            while taken := self._tls.read(65536):
                self.data += taken

    def _said(self, data):
        self._tls.write(data)
        return self._outgoing.read()

    def end(self):
        """Our session and our half."""
        with contextlib.suppress(OSError):  # the server's close_notify has not come yet
            self._tls.unwrap()
        with contextlib.suppress(OSError):
            self.socket.send(self._outgoing.read())
        PlainEnd.end(self)
