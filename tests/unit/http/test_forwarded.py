"""What a trusted proxy says of a request, and what is left of it when the peer isn't trusted."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gracehttp.http.forwarded import FORWARDING_FIELDS, ForwardedError, Forwarding, parse_forwarded
from gracehttp.http.head import RequestHead, RequestLine
from gracehttp.http.settings import ProxySettings

PEER = ("10.0.0.1", 4000)
ALL = (
    "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix", "script-name",
)  # fmt: skip
FORWARDED = ("forwarded",)


def head_of(*fields, client=PEER, target=b"/x"):
    head = RequestHead()
    head.line = RequestLine("GET", target, "1.1")
    head.headers = [(b"host", b"inside:8000"), *[(name.encode(), value.encode("latin-1")) for name, value in fields]]
    head.scheme = "http"
    head.client = client
    head.server = ("10.0.0.9", 8000)
    return head


def adjusted(*fields, believed=ALL, trusted=("10.0.0.0/8",), hops=0, peer=PEER, root_path="", target=b"/x"):
    removed = []
    settings = ProxySettings(True, trusted, believed, hops)
    head = head_of(*fields, client=peer, target=target)
    adjust = Forwarding(settings, root_path, lambda *told: removed.append(told)).of(peer)
    if adjust is not None:
        adjust(head)
    head_of.removed = removed
    return head


def for_(value, **options):
    return adjusted(("x-forwarded-for", value), **options).client


@pytest.mark.parametrize(
    ("value", "client"),
    {
        "192.0.2.1": ("192.0.2.1", 0),
        "192.0.2.1:80": ("192.0.2.1", 80),
        "192.0.2.1:0": ("192.0.2.1", 0),
        "2001:db8::1": ("2001:db8::1", 0),
        "2001:DB8:0::0001": ("2001:db8::1", 0),
        "[2001:db8::1]": ("2001:db8::1", 0),
        "[2001:db8::1]:443": ("2001:db8::1", 443),
        "::ffff:192.0.2.1": ("192.0.2.1", 0),
        "unknown": None,
        "UNKNOWN": None,
        "_hidden": None,
        "_SEVKISEK.-_:_port": None,
        "203.0.113.7, 192.0.2.1": ("192.0.2.1", 0),
        "203.0.113.7, 192.0.2.1, 10.0.0.2": ("192.0.2.1", 0),
        "192.0.2.1,10.0.0.2,10.0.0.3": ("192.0.2.1", 0),
        "10.0.0.3, 10.0.0.2": ("10.0.0.3", 0),
        " ,, 192.0.2.1 ,\t, ": ("192.0.2.1", 0),
        "<script>, 192.0.2.1": ("192.0.2.1", 0),
        "unknown, 10.0.0.2": None,
        "": PEER,
        " , ": PEER,
    }.items(),
)
def test_client_is_the_first_from_the_right_that_is_no_trusted_proxy(value, client):
    assert for_(value) == client


@pytest.mark.parametrize(
    "value",
    [
        "localhost", "192.0.2.256", "192.0.2", "192.0.2.01", "192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:-1",
        "192.0.2.1:8 0", "[192.0.2.1]", "[2001:db8::1", "2001:db8::1]", "[2001:db8::g]", "2001:db8:::1", "::1%eth0",
        "[::1%25eth0]", "\"192.0.2.1\"", "for=192.0.2.1", "unknown:", "_", "_a b", "192.0.2.1 192.0.2.2", "x" * 100,
        "0x7f000001", "2130706433", "1" * 5000, "\xe9", ":", "::1]:80", "[]:80", "203.0.113.7, nonsense, 10.0.0.2",
    ],
)  # fmt: skip
def test_an_entry_that_counts_and_is_no_address_refuses_the_request(value):
    with pytest.raises(ForwardedError):
        for_(value)


@pytest.mark.parametrize(
    ("hops", "value", "client"),
    [
        (1, "203.0.113.7, 10.0.0.2", "10.0.0.2"),
        (2, "203.0.113.7, 10.0.0.2", "203.0.113.7"),
        (2, "evil, 203.0.113.7, 10.0.0.2", "203.0.113.7"),
        (3, "203.0.113.7, 10.0.0.2", "203.0.113.7"),
        (2, "203.0.113.7, unknown", "203.0.113.7"),
    ],
)
def test_as_many_entries_as_there_are_proxies_are_taken_from_the_right(hops, value, client):
    assert for_(value, hops=hops)[0] == client


def test_who_trusts_every_peer_trusts_no_entry_of_a_list():
    assert for_("203.0.113.7, 192.0.2.1", trusted=("*",)) == ("192.0.2.1", 0)
    assert for_("203.0.113.7, 192.0.2.1", trusted=("*",), hops=2) == ("203.0.113.7", 0)


def test_lists_over_several_fields_are_one_list():
    head = adjusted(("x-forwarded-for", "203.0.113.7"), ("x-forwarded-for", "192.0.2.1, 10.0.0.2"))
    assert head.client == ("192.0.2.1", 0)


@pytest.mark.parametrize(
    ("peer", "trusted", "believed"),
    [
        (PEER, ("10.0.0.1",), True), (PEER, ("10.0.0.2",), False), (PEER, (), False), (PEER, ("unix",), False),
        (PEER, ("*",), True), (None, ("unix",), True), (None, ("10.0.0.0/8",), False), (None, ("*",), True),
        (("fe80::1%eth0", 1), ("fe80::/10",), True), (("::1", 1), ("127.0.0.1", "::1"), True),
        (("10.0.0.1", 1), ("::/0",), False),
    ],
)  # fmt: skip
def test_a_peer_is_believed_if_it_is_trusted(peer, trusted, believed):
    head = adjusted(("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "https"), peer=peer, trusted=trusted)
    assert head.client == (("192.0.2.1", 0) if believed else peer)
    assert head.scheme == ("https" if believed else "http")


def test_all_fields_of_proxies_are_removed_from_a_peer_that_is_not_trusted():
    fields = [(name.decode(), "192.0.2.1") for name in sorted(FORWARDING_FIELDS)]
    head = adjusted(("accept", "a"), *fields, ("x-other", "b"), trusted=())
    assert head.headers == [(b"host", b"inside:8000"), (b"accept", b"a"), (b"x-other", b"b")]
    assert head_of.removed == [(PEER, "forwarded")]
    assert adjusted(("accept", "a"), trusted=()).headers == [(b"host", b"inside:8000"), (b"accept", b"a")]
    assert head_of.removed == []


def test_without_the_feature_nothing_is_called_and_nothing_changes():
    assert Forwarding(ProxySettings(), "", lambda *told: None).of(PEER) is None
    assert Forwarding(ProxySettings(True, ("*",), ()), "", lambda *told: None).of(PEER) is None


def test_a_field_that_is_not_believed_reaches_the_application_as_it_came():
    head = adjusted(("x-forwarded-host", "evil.test"), ("forwarded", "for=1.1.1.1"), believed=("x-forwarded-for",))
    assert head.headers[0] == (b"host", b"inside:8000")
    assert (b"x-forwarded-host", b"evil.test") in head.headers
    assert head.client == PEER


@pytest.mark.parametrize(
    ("protos", "fors", "scheme"),
    [
        ("https", None, "https"), ("http", None, "http"), ("HTTPS", None, "https"), ("wss", None, "https"),
        ("ws", None, "http"), ("http, https", None, "https"), ("https, http", "192.0.2.1", "http"),
        ("https, http", "192.0.2.1, 10.0.0.2", "https"), ("https", "192.0.2.1, 10.0.0.2", "https"), ("", None, "http"),
    ],
)  # fmt: skip
def test_scheme_is_what_the_proxy_says_that_has_named_the_client(protos, fors, scheme):
    fields = [("x-forwarded-proto", protos)] + ([("x-forwarded-for", fors)] if fors else [])
    assert adjusted(*fields).scheme == scheme


@pytest.mark.parametrize("value", ["ftp", "https\x7f", "h", "https;", "on", "https://", "x" * 9000])
def test_another_scheme_refuses_the_request(value):
    with pytest.raises(ForwardedError):
        adjusted(("x-forwarded-proto", value))


@pytest.mark.parametrize(
    ("host", "port", "proto", "host_field", "server"),
    [
        ("example.org", None, None, b"example.org", ("example.org", 80)),
        ("example.org", None, "https", b"example.org", ("example.org", 443)),
        ("example.org:8443", None, "https", b"example.org:8443", ("example.org", 8443)),
        ("example.org", "8443", "https", b"example.org:8443", ("example.org", 8443)),
        ("example.org:1", "443", "https", b"example.org", ("example.org", 443)),
        ("[2001:db8::1]:8443", None, "https", b"[2001:db8::1]:8443", ("2001:db8::1", 8443)),
        ("[2001:db8::1]", "80", None, b"[2001:db8::1]", ("2001:db8::1", 80)),
        ("evil.test, example.org", None, None, b"example.org", ("example.org", 80)),
        (None, "8443", "https", b"inside:8443", ("inside", 8443)),
        (None, "443", "https", b"inside", ("inside", 443)),
    ],
)
def test_host_and_port_are_what_the_client_asked(host, port, proto, host_field, server):
    told = {"x-forwarded-host": host, "x-forwarded-port": port, "x-forwarded-proto": proto}
    head = adjusted(*[(name, value) for name, value in told.items() if value is not None])
    assert [value for name, value in head.headers if name == b"host"] == [host_field]
    assert head.server == server


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-forwarded-host", "a b"), ("x-forwarded-host", "user@a"), ("x-forwarded-host", "a/b"),
        ("x-forwarded-host", "a:x"), ("x-forwarded-host", "[::g]"), ("x-forwarded-host", "\xe9"),
        ("x-forwarded-port", "0"), ("x-forwarded-port", "65536"), ("x-forwarded-port", "080"),
        ("x-forwarded-port", "-1"), ("x-forwarded-port", "8 0"), ("x-forwarded-port", "\xb2"),
    ],
)  # fmt: skip
def test_a_host_or_port_that_is_none_refuses_the_request(name, value):
    with pytest.raises(ForwardedError):
        adjusted((name, value))


@pytest.mark.parametrize("name", ["x-forwarded-prefix", "script-name"])
@pytest.mark.parametrize(
    ("value", "root_path", "path", "raw_path"),
    [
        ("/api", "/api", "/api/x", b"/api/x"),
        ("/api/", "/api", "/api/x", b"/api/x"),
        ("/a/b", "/a/b", "/a/b/x", b"/a/b/x"),
        ("/%C3%A9", "/é", "/é/x", b"/%C3%A9/x"),
        ("/", "", "/x", b"/x"),
        ("/evil, /api", "/api", "/api/x", b"/api/x"),
    ],
)
def test_path_of_the_application_is_what_the_proxy_has_cut_off(name, value, root_path, path, raw_path):
    line = adjusted((name, value), root_path="/configured").line
    assert (line.root_path, line.path, line.raw_path) == (root_path, path, raw_path)
    assert line.target == b"/x"


@pytest.mark.parametrize(
    "value", ["api", "//evil.test", "/a//b", "/../x", "/a/%2e%2e/b", "/a%2fb", "/a?b", "/a b", "/%zz", "/a%00", "/\xe9"]
)
def test_a_path_that_leads_elsewhere_refuses_the_request(value):
    with pytest.raises(ForwardedError):
        adjusted(("x-forwarded-prefix", value))


def test_two_paths_that_differ_refuse_the_request():
    assert adjusted(("x-forwarded-prefix", "/a"), ("script-name", "/a")).line.root_path == "/a"
    with pytest.raises(ForwardedError):
        adjusted(("x-forwarded-prefix", "/a"), ("script-name", "/b"))


@pytest.mark.parametrize("trusted", [("*",), ()], ids=["trusted", "not trusted"])
@pytest.mark.parametrize("reads", [True, False])
def test_the_root_path_holds_for_every_request(trusted, reads):
    head = head_of(target=b"/a%20b?c")
    Forwarding(ProxySettings(reads, trusted, ALL), "/ä", lambda *told: None).of(PEER)(head)
    line = head.line
    assert (line.root_path, line.path) == ("/ä", "/ä/a b")
    assert (line.raw_path, line.query_string, line.raw_root_path) == (b"/%C3%A4/a%20b", b"c", b"/%C3%A4")


def test_the_target_of_the_server_as_a_whole_has_no_root_path():
    assert adjusted(root_path="/api", target=b"*").line.path == "*"


# --- RFC 7239 ---


def forwarded(*values, **options):
    return adjusted(*[("forwarded", value) for value in values], believed=FORWARDED, **options)


@pytest.mark.parametrize(
    ("value", "client"),
    {
        "for=192.0.2.1": ("192.0.2.1", 0),
        "For=192.0.2.1": ("192.0.2.1", 0),
        'for="192.0.2.1:80"': ("192.0.2.1", 80),
        'for="[2001:db8:cafe::17]:4711"': ("2001:db8:cafe::17", 4711),
        'for="[2001:db8:cafe::17]"': ("2001:db8:cafe::17", 0),
        "for=unknown": None,
        "for=_hidden": None,
        'for="_hidden:_port"': None,
        "for=192.0.2.1;proto=http;by=203.0.113.43": ("192.0.2.1", 0),
        "by=203.0.113.43 ; for = x": "malformed",
        "for=203.0.113.7, for=192.0.2.1": ("192.0.2.1", 0),
        "for=192.0.2.1, for=10.0.0.2": ("192.0.2.1", 0),
        "for=203.0.113.7,for=192.0.2.1;proto=https,for=10.0.0.2": ("192.0.2.1", 0),
        'for=203.0.113.7;x="a,b;c=d", for=192.0.2.1': ("192.0.2.1", 0),
        'for=203.0.113.7;x="a\\"b", for=192.0.2.1': ("192.0.2.1", 0),
        'for="1\\92.0.2.1"': ("192.0.2.1", 0),
        "for=192.0.2.1;;proto=http": ("192.0.2.1", 0),
        ", for=192.0.2.1 ,": ("192.0.2.1", 0),
        "proto=https": PEER,
        "for=203.0.113.7, proto=https": PEER,
        "": PEER,
        "for=192.0.2.1:80": "malformed",
        "for=[::1]": "malformed",
        'for="::1"': "malformed",
        'for="2001:db8::1"': "malformed",
        'for="192.0.2.1': "malformed",
        'for=192.0.2.1"': "malformed",
        'for="a"b': "malformed",
        "for": "malformed",
        "for=": "malformed",
        "=a": "malformed",
        "for==a": "malformed",
        "for=a b": "malformed",
        "for=192.0.2.1;for=192.0.2.2": "malformed",
        'for=""': "malformed",
        "for=localhost": "malformed",
        "192.0.2.1": "malformed",
        'for="\x7f"': "malformed",
    }.items(),
)
def test_forwarded_is_read_as_rfc_7239_says(value, client):
    if client == "malformed":
        with pytest.raises(ForwardedError):
            forwarded(value)
    else:
        assert forwarded(value).client == client


def test_forwarded_tells_scheme_and_host_in_the_element_of_the_client():
    head = forwarded(
        'for=203.0.113.7;host=evil.test, for=192.0.2.1;proto=https;host="example.org:8443"', "for=10.0.0.2"
    )
    assert (head.client, head.scheme, head.server) == (("192.0.2.1", 0), "https", ("example.org", 8443))
    assert head.headers[0] == (b"host", b"example.org:8443")


def test_the_other_form_means_nothing():
    fields = (("forwarded", "for=203.0.113.7;proto=https"), ("x-forwarded-for", "192.0.2.1"))
    assert adjusted(*fields, believed=FORWARDED).client == ("203.0.113.7", 0)
    assert adjusted(*fields, believed=ALL).client == ("192.0.2.1", 0)
    assert adjusted(*fields, believed=ALL).scheme == "http"


# --- hostile ---


@pytest.mark.parametrize(
    "field",
    [
        ("x-forwarded-for", ",".join(["10.0.0.2"] * 7000)),
        ("x-forwarded-for", "," * 65000),
        ("x-forwarded-for", "[" * 65000),
        ("x-forwarded-for", "1." * 32000),
        ("x-forwarded-for", ":" * 65000),
        ("x-forwarded-prefix", "/a" * 32000 + "?"),
        ("x-forwarded-prefix", "/" * 65000),
        ("x-forwarded-host", "a" * 65000 + "?"),
        ("forwarded", ",".join(["for=10.0.0.2"] * 5000)),
        ("forwarded", 'for="' + "\\a" * 32000),
        ("forwarded", 'for="' + "a" * 65000),
        ("forwarded", "a" * 65000),
        ("forwarded", ";" * 65000),
        ("forwarded", "a=b;" * 16000),
        ("forwarded", " \t" * 32000 + "x"),
    ],
    ids=lambda field: f"{field[0]} {field[1][:8]}",
)
def test_a_field_as_long_as_a_head_may_be_takes_no_time(field):
    began = time.process_time()
    for believed in (ALL, FORWARDED):
        with contextlib.suppress(ForwardedError):
            adjusted(field, believed=believed)
    assert time.process_time() - began < 1.0


@given(st.text(st.characters(max_codepoint=255), max_size=60))
def test_whatever_a_proxy_says_is_understood_or_refused(text):
    for name in (*ALL, "forwarded"):
        for believed in (ALL, FORWARDED):
            try:
                head = adjusted((name, text), believed=believed)
            except ForwardedError:
                continue
            assert head.scheme in ("http", "https")
            assert head.client is None or 0 <= head.client[1] <= 65535


PAIRS = st.dictionaries(
    st.text("abcFOR-_!", min_size=1, max_size=5).map(str.lower),
    st.text(st.sampled_from([chr(code) for code in (9, *range(32, 127), 200)]), max_size=9),
    min_size=1,
    max_size=3,
)


@given(st.lists(PAIRS, max_size=4), st.data())
def test_every_quoted_string_is_read_back(elements, data):
    def quoted(text):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    separators = st.sampled_from([",", ", ", " ,\t"])
    text = ""
    for element in elements:
        text += ";".join(f"{name}={quoted(value)}" for name, value in element.items()) + data.draw(separators)
    assert parse_forwarded(text.encode("latin-1")) == elements


@pytest.mark.parametrize("port", ["65536", "9" * 5000])
def test_a_host_of_the_client_with_a_port_that_is_none_refuses_the_request(port):
    with pytest.raises(ForwardedError):
        adjusted(("x-forwarded-host", f"a:{port}"))


def test_names_with_underscores_are_removed_from_a_peer_that_is_not_trusted():
    head = adjusted(
        ("x_forwarded_for", "192.0.2.1"), ("x-forwarded_proto", "https"), ("x_b", "c"), peer=("192.0.2.7", 1)
    )
    assert [name for name, _ in head.headers] == [b"host", b"x_b"]
