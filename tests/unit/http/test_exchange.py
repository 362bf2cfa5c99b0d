"""The rules of a response, which no protocol changes: an exchange on a carrier that remembers."""

import enum
import http

import pytest
from http_fakes import FakeLoop, FakeOwner, step

from gracehttp.http.body import NO_REQUEST_BODY, RequestBody
from gracehttp.http.exchange import Carrier, Exchange, ResetReason, ResponseError
from gracehttp.http.head import RequestHead, RequestLine


class FakeCarrier(Carrier):
    """`told` has what was called, in order."""

    def __init__(self):
        self.told = []

    def body_wanted(self, exchange):
        self.told.append("body wanted")

    def body_taken(self, exchange):
        self.told.append("body taken")

    def send_interim(self, exchange, status, fields):
        self.told.append(("interim", status, list(fields.pairs)))

    def send_head(self, exchange, data, end):
        self.told.append(("head", exchange.status, exchange.announced_length, data, end))

    def send_body(self, exchange, data, end):
        self.told.append(("body", data, end))

    def send_trailers(self, exchange, fields):
        self.told.append(("trailers", list(fields.pairs)))

    def response_completed(self, exchange):
        self.told.append("completed")

    def cut(self, exchange, reason):
        self.told.append(("cut", reason))
        exchange.disconnect()


def make(method="GET", body=NO_REQUEST_BODY):
    head = RequestHead()
    head.line = RequestLine(method, b"/", "1.1")
    head.echoed = None
    carrier, owner = FakeCarrier(), FakeOwner()
    exchange = Exchange()
    exchange.begin(head, body, carrier, owner, FakeLoop(), body_length=None, awaits_continue=False, writable=True)
    return exchange, carrier, owner


# --- head and body ---


def test_head_waits_for_the_first_body_bytes():
    exchange, carrier, _ = make()
    exchange.start_response(200, [])
    assert carrier.told == []
    exchange.write(b"a", True)
    exchange.write(b"b", False)
    assert carrier.told == [("head", 200, -1, b"a", False), ("body", b"b", True), "completed"]
    assert exchange.body_sent == 2


class Status(int, enum.Enum):
    """As an application may have its own, whose text is its name."""

    FINE = 200


@pytest.mark.parametrize("status", [http.HTTPStatus.OK, Status.FINE])
def test_status_is_a_number_for_those_who_are_told_of_it(status):
    exchange, _, owner = make()
    exchange.start_response(status, [])
    exchange.write(b"", False)
    exchange.finished(exchange.status)
    ((_, told, _, _),) = owner.finished
    assert (type(told), told) == (int, 200)


def test_length_of_a_whole_body_is_announced():
    exchange, carrier, _ = make()
    exchange.start_response(200, [])
    exchange.write(b"abc", False)
    assert carrier.told == [("head", 200, 3, b"abc", True), "completed"]


@pytest.mark.parametrize(
    ("method", "status", "length"), [("HEAD", 200, 3), ("GET", 204, -1), ("GET", 304, -1), ("GET", 205, 0)]
)
def test_response_without_a_body_carries_no_bytes(method, status, length):
    exchange, carrier, _ = make(method)
    exchange.start_response(status, [])
    exchange.write(b"abc", False)
    assert carrier.told == [("head", status, length, b"", True), "completed"]
    assert exchange.body_sent == 0


def test_empty_pieces_are_not_passed_on():
    exchange, carrier, _ = make()
    exchange.start_response(200, [])
    exchange.write(b"", True)
    exchange.write(b"", True)
    exchange.write(b"", False)
    assert carrier.told == [("head", 200, -1, b"", False), ("body", b"", True), "completed"]


# --- interim responses (RFC 9110 section 15.2) ---


def test_interim_responses_come_before_the_final_one():
    exchange, carrier, _ = make()
    exchange.send_interim(103, [(b"link", b"</a>; rel=preload")])
    exchange.send_interim(102, [])
    exchange.start_response(200, [])
    exchange.write(b"", False)
    assert carrier.told[:2] == [("interim", 103, [(b"link", b"</a>; rel=preload")]), ("interim", 102, [])]
    assert exchange.status == 200


def test_interim_response_after_the_start_is_an_error():
    exchange, carrier, _ = make()
    exchange.start_response(200, [])
    with pytest.raises(ResponseError, match="before"):
        exchange.send_interim(103, [])
    exchange.write(b"", False)
    with pytest.raises(ResponseError):
        exchange.send_interim(103, [])
    assert len(carrier.told) == 2


@pytest.mark.parametrize("status", [100, 101, 99, 200, 204, 1030, "103", None, True])
def test_status_of_no_interim_response_is_an_error(status):
    exchange, carrier, _ = make()
    with pytest.raises(ResponseError, match="interim"):
        exchange.send_interim(status, [])
    assert carrier.told == []


def test_fields_of_an_interim_response_are_checked_and_frame_nothing():
    exchange, carrier, _ = make()
    with pytest.raises(ResponseError):
        exchange.send_interim(103, [(b"link", b"a\r\nb: c")])
    exchange.send_interim(103, [(b"content-length", b"5"), (b"connection", b"close"), (b"x", b"y")])
    assert carrier.told == [("interim", 103, [(b"x", b"y")])]


def test_interim_response_to_a_client_that_is_gone_does_nothing():
    exchange, carrier, _ = make()
    exchange.disconnect()
    exchange.send_interim(103, [])
    assert carrier.told == []


# --- trailers (RFC 9110 section 6.5) ---


def started(trailers=True, headers=()):
    exchange, carrier, owner = make()
    exchange.start_response(200, headers, trailers=trailers)
    return exchange, carrier, owner


def test_trailers_end_the_response_behind_its_body():
    exchange, carrier, _ = started()
    exchange.write(b"a", True)
    exchange.write(b"b", False)
    assert not exchange.response_complete
    exchange.send_trailers([(b"digest", b"x")])
    assert exchange.response_complete
    assert carrier.told[1:] == [("body", b"b", False), ("trailers", [(b"digest", b"x")]), "completed"]


def test_length_is_not_announced_when_trailers_follow():
    exchange, carrier, _ = started()
    exchange.write(b"abc", False)
    assert carrier.told == [("head", 200, -1, b"abc", False)]


def test_trailers_of_a_response_that_was_not_started_with_them_are_an_error():
    exchange, carrier, _ = started(trailers=False)
    exchange.write(b"a", True)
    with pytest.raises(ResponseError, match="trailers"):
        exchange.send_trailers([])
    exchange.write(b"", False)
    with pytest.raises(ResponseError, match="trailers"):
        exchange.send_trailers([])
    assert carrier.told[-1] == "completed"


def test_trailers_come_once_and_behind_the_body():
    exchange, _, _ = started()
    with pytest.raises(ResponseError, match="after the body"):
        exchange.send_trailers([])
    exchange.write(b"a", True)
    with pytest.raises(ResponseError, match="after the body"):
        exchange.send_trailers([])
    exchange.write(b"", False)
    exchange.send_trailers([])
    with pytest.raises(ResponseError):
        exchange.send_trailers([])


@pytest.mark.parametrize("status", [204, 304])
def test_response_that_ends_with_its_head_leaves_its_trailers_out(status):
    exchange, carrier, _ = make()
    exchange.start_response(status, [], trailers=True)
    exchange.write(b"", False)
    assert carrier.told == [("head", status, -1, b"", True), "completed"]
    exchange.send_trailers([(b"digest", b"x")])
    assert carrier.told[-1] == "completed"
    with pytest.raises(ResponseError, match="trailers"):
        exchange.send_trailers([])


def test_body_bytes_behind_the_end_of_the_body_are_an_error_also_before_the_trailers():
    exchange, carrier, _ = started()
    exchange.write(b"a", False)
    with pytest.raises(ResponseError, match="after the end"):
        exchange.write(b"b", False)
    assert carrier.told == [("head", 200, -1, b"a", False)]


def test_body_is_held_against_its_length_before_the_trailers():
    exchange, carrier, owner = started(headers=[(b"content-length", b"2")])
    exchange.write(b"a", True)
    with pytest.raises(ResponseError, match="Content-Length"):
        exchange.write(b"", False)
    assert carrier.told[-1] == ("cut", ResetReason.INTERNAL_ERROR)
    assert len(owner.broken) == 1


@pytest.mark.parametrize("field", [(b"content-length", b"1"), (b"a b", b""), (b"x", b"\n")])
def test_field_that_is_no_trailer_is_an_error_and_leaves_the_response_open(field):
    exchange, carrier, _ = started()
    exchange.write(b"a", False)
    with pytest.raises(ResponseError):
        exchange.send_trailers([field])
    exchange.send_trailers([(b"x", b"y")])
    assert carrier.told[-1] == "completed"


def test_response_whose_trailers_do_not_come_is_not_whole():
    exchange, carrier, owner = started()
    exchange.write(b"a", False)
    exchange.end()
    assert carrier.told[-1] == ("cut", ResetReason.INTERNAL_ERROR)
    assert len(owner.broken) == 1


def test_trailers_for_a_client_that_is_gone_do_nothing():
    exchange, carrier, _ = started()
    exchange.write(b"a", False)
    exchange.disconnect()
    exchange.send_trailers([(b"x", b"y")])
    assert carrier.told == [("head", 200, -1, b"a", False)]


def test_error_page_takes_the_place_of_a_response_with_trailers():
    exchange, carrier, _ = started()
    exchange.end(ValueError("boom"))
    assert carrier.told[0][:2] == ("head", 500)
    assert carrier.told[-1] == "completed"


# --- the end ---


def test_reason_of_a_reset_is_known_and_wakes_what_waits():
    exchange, _, _ = make(body=RequestBody())
    waiting = [exchange.wait_for_input(), exchange.wait_for_disconnect()]
    assert not any(step(one) for one in waiting)
    assert exchange.reset_reason is None
    exchange.disconnect(ResetReason.CANCEL)
    assert exchange.reset_reason == ResetReason.CANCEL
    assert all(step(one) for one in waiting)


def test_client_that_just_goes_gives_no_reason():
    exchange, _, _ = make()
    exchange.disconnect()
    assert exchange.disconnected
    assert exchange.reset_reason is None


def test_response_that_breaks_is_cut_with_a_reason():
    exchange, carrier, _ = make()
    exchange.start_response(200, [])
    exchange.write(b"a", True)
    exchange.end(ValueError("boom"))
    assert carrier.told[-1] == ("cut", ResetReason.INTERNAL_ERROR)


def test_taking_asks_for_more_only_while_it_can_come():
    body = RequestBody()
    exchange, carrier, _ = make(body=body)
    assert exchange.take_body() is None
    body.put([b"a"], False)
    assert exchange.take_body() == (b"a", True)
    assert carrier.told == ["body wanted", "body taken"]
    exchange.disconnect()
    assert exchange.take_body() is None
    assert len(carrier.told) == 2
