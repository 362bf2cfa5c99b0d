"""Each request has one id: its own where it is fit, else a new one."""

from __future__ import annotations

import re

import pytest

from gracehttp.http.fields import ResponseFields
from gracehttp.http.forwarded import Forwarding
from gracehttp.http.head import RequestHead, RequestLine
from gracehttp.http.request_ids import MOST_CHARACTERS, RequestIds
from gracehttp.http.settings import ProxySettings

PEER = ("192.0.2.1", 4000)
NEW = re.compile(rb"[0-9a-f]{32}")


def ids_of(*sent, echoes=False, ids=None, settings=None, root_path=""):
    """The ids that the application gets for those that were `sent`, and the head."""
    head = RequestHead()
    head.line = RequestLine("GET", b"/", "1.1")
    head.headers = [(b"host", b"inside"), *[(b"x-request-id", one) for one in sent], (b"x-forwarded-for", b"10.0.0.1")]
    head.client = PEER
    head.echoed = None
    forwarding = Forwarding(settings or ProxySettings(), root_path, lambda client, name: None)
    ids = ids or RequestIds(forwarding, echoes=echoes)
    ids.of(PEER)(head)
    return [value for name, value in head.headers if name == b"x-request-id"], head


@pytest.mark.parametrize(
    "sent",
    [
        b"a",
        b"x" * MOST_CHARACTERS,
        b"7b8f0c9e-5d0a-4f0e-9f6e-0c1d2e3f4a5b",  # a UUID
        b"4bf92f3577b34da6a3ce929d0e0e4736",  # a trace id
        b"Root=1-67891233-abcdef012345678912345678",  # X-Amzn-Trace-Id
        b"aGVsbG8gd29ybGQ/+w==",
    ],
)
def test_a_fit_id_stays(sent):
    found, head = ids_of(sent)
    assert found == [sent]
    assert head.echoed is None


@pytest.mark.parametrize(
    "sent",
    [
        (),
        (b"",),
        (b"x" * (MOST_CHARACTERS + 1),),
        (b"two words",),
        (b'"quoted"',),
        (b"<script>",),
        (b"tab\t",),
        (b"\xc3\xa4",),
        (b"one", b"two"),
        (b"one, two",),
        (b"trailing\n",),
    ],
)
def test_none_several_or_an_unfit_one_give_a_new_id(sent):
    found, head = ids_of(*sent)
    assert len(found) == 1
    assert NEW.fullmatch(found[0])
    assert [name for name, _ in head.headers if name != b"x-request-id"] == [b"host", b"x-forwarded-for"]


def test_new_ids_differ():
    ids = RequestIds(Forwarding(ProxySettings(), "", lambda client, name: None), echoes=False)
    assert len({ids_of(ids=ids)[0][0] for _ in range(100)}) == 100


def test_echoed_in_the_response():
    (given,), head = ids_of(echoes=True)
    assert head.echoed == (b"X-Request-ID", given)


def test_what_proxies_say_counts_as_well():
    _, head = ids_of(settings=ProxySettings(reads_fields=True, trusted=(), fields=("x-forwarded-for",)), root_path="/a")
    assert b"x-forwarded-for" not in dict(head.headers)
    assert head.line.root_path == "/a"


@pytest.mark.parametrize(
    ("given", "block"),
    [
        ([], b"X-Request-ID: 7\r\n"),
        ([(b"a", b"b")], b"a: b\r\nX-Request-ID: 7\r\n"),
        ([(b"X-Request-Id", b"mine")], b"X-Request-Id: mine\r\n"),
        ([(b"a", b"b"), (b"x-request-id", b"mine")], b"a: b\r\nx-request-id: mine\r\n"),
        ([(b"y-x-request-id", b"b")], b"y-x-request-id: b\r\nX-Request-ID: 7\r\n"),
    ],
)
def test_the_id_of_the_application_stands_instead_of_ours(given, block):
    fields = ResponseFields(given)
    fields.add((b"X-Request-ID", b"7"))
    assert fields.block == block
