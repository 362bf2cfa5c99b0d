"""Clients of many kinds at once, on a plain port and on one with TLS. None of them retries anything."""

from __future__ import annotations

import socket
import ssl
import threading

from conversation import Conversation
from deadlines import DEADLINE_SECONDS
from tls_client import certificate_in

ANSWERS_PER_RESTART = 200


class TlsConversation(Conversation):
    """The same over TLS."""

    context: ssl.SSLContext

    def __init__(self, port):
        super().__init__(port)
        self.sock = self.context.wrap_socket(self.sock, server_hostname="localhost")


class Client(threading.Thread):
    """Talks until it is told to stop, and remembers what went wrong.

    `talk` does one step, and returns whether its connection can go on. A client connects again only then, or when the
    server has told that the answer was the last one.
    """

    def __init__(self, connect, talk, *, secure):
        super().__init__(daemon=True)
        self.kind = talk.__name__.replace("_", " ") + (" over TLS" if secure else "")
        self.connect = connect
        self.talk = talk
        self.stopped = threading.Event()
        self.failure = None
        self.answered = 0
        self.connects = 0

    def run(self):
        one = None
        try:
            while not self.stopped.is_set():
                if one is None:
                    one = self.connect()
                    self.connects += 1
                before = one.answered
                go_on = self.talk(one)
                self.answered += one.answered - before
                if one.closing or not go_on:
                    one.sock.close()
                    one = None
        except BaseException as failure:  # also an assertion, which is what the test is for
            self.failure = failure
        finally:
            if one is not None:
                one.sock.close()


def kept(one):
    one.ask()
    return True


def new_each_time(one):
    one.ask(fields="Connection: close\r\n")
    return False


def post_in_pieces(one):
    data = one.request(method="POST", body=b"0123456789" * 100)
    for start in (0, 20, 150, 400, 900):
        end = {0: 20, 20: 150, 150: 400, 400: 900, 900: len(data)}[start]
        one.send(data[start:end])
    one.answer()
    return True


def slow_answer(one):
    one.ask(sleep=0.3)
    return True


def large_answer(one):
    one.ask(size=2_000_000)
    return True


def pipelined(one):
    one.send(b"".join(one.request() for _ in range(5)))
    for _ in range(5):
        one.answer()
        if one.closing:
            # Requests behind the last answer were not taken (RFC 9112 section 9.6): a client asks them again elsewhere.
            return False
    return True


def half_closed(one):
    one.send(one.request())
    one.sock.shutdown(socket.SHUT_WR)
    one.answer()
    return False


PLAIN = [
    *(kept, kept, kept, new_each_time, new_each_time),
    *(post_in_pieces, slow_answer, large_answer, pipelined, half_closed),
]
OVER_TLS = [kept, kept, new_each_time, post_in_pieces, slow_answer]


def write_certificate(path):
    """Write a certificate with its key; its clients trust it from now on."""
    TlsConversation.context = certificate_in(path, "localhost")


class MixedLoad:
    """All of them, from entering to leaving the context."""

    def __init__(self, plain, secure):
        self.clients = [Client(lambda: Conversation(plain), talk, secure=False) for talk in PLAIN]
        self.clients += [Client(lambda: TlsConversation(secure), talk, secure=True) for talk in OVER_TLS]

    def __enter__(self):
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *exc_info):
        for client in self.clients:
            client.stopped.set()
        for client in self.clients:
            client.join(DEADLINE_SECONDS)

    @property
    def answered(self):
        return sum(client.answered for client in self.clients)

    @property
    def failures(self):
        return [client.failure for client in self.clients if client.failure is not None]

    def wait_for_answers(self, count):
        """Until all together have got so many more."""
        pulse = threading.Event()
        before = self.answered
        while self.answered < before + count and not self.failures:
            pulse.wait(0.01)
