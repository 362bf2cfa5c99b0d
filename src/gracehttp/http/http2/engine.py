"""The framing of one connection: HPACK, flow control, the states of streams (RFC 9113). No I/O.

An adapter around ngh2, which is libnghttp2: no other module knows it. libnghttp2 keeps the rules of frames and streams,
and refuses malformed requests (RFC 9113 section 8.1.1) by itself. What is left are its errors: after one that it can't
go on from it says nothing more, so the last GOAWAY is made here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import ngh2
from ngh2 import (
    ConnectionClosed,
    DataReceived,
    ErrorCode,
    Event,
    PingAcknowledged,
    RequestReceived,
    Setting,
    SettingsReceived,
    StreamClosed,
    TrailersReceived,
)

from gracehttp.http.head import Header

__all__ = [
    "ConnectionClosed",
    "DataReceived",
    "Engine",
    "ErrorCode",
    "Event",
    "PingAcknowledged",
    "RequestReceived",
    "SettingsReceived",
    "StreamClosed",
    "TrailersReceived",
]

STREAM_WINDOW_BYTES: Final = 131072
"""How much of a request body a client may send before the application takes some of it."""
CONNECTION_WINDOW_BYTES: Final = 1048576
"""The same for all requests of a connection together: the most that one client can fill our memory with."""
_MOST_ACKS: Final = 1000  # of SETTINGS and PING that wait to be sent
_FRAME_BYTES: Final = 16384
_FIELD_OVERHEAD_BYTES: Final = 32  # of a field in the size of a field list (RFC 9113 section 6.5.2)
_UNLIMITED: Final = 2**63
_GOAWAY: Final = 7
_INCREMENTAL: Final = ngh2.Priority(3, incremental=True)
_LibraryError: Final = ngh2.NGH2Error


class Engine:
    """What is received goes into `receive`; what must be sent comes out of `output`.

    After an error from which there is no way back, `failed` is its code: `output` gives the GOAWAY that says so, and
    nothing else may be called.
    """

    __slots__ = ("_connection", "_highest", "_mid_frame", "_rest", "failed")

    def __init__(
        self,
        max_streams: int,
        max_header_size: int,
        upgraded: bytes | None = None,
        *,
        head_request: bool = False,
        tunnels: bool = False,
    ) -> None:
        """`tunnels`: extended CONNECT is offered (RFC 8441). `upgraded` is the payload of HTTP2-Settings of a client
        that came by Upgrade: its request is stream 1.

        Raises `ValueError` if that payload is malformed.
        """
        # The limits of the library end the connection. Ours, which come first, end a stream.
        most_header_bytes = 2 * max_header_size + _FRAME_BYTES
        self._connection = ngh2.Connection(
            ngh2.Role.SERVER,
            ngh2.Configuration(
                auto_window_update=False,
                max_outbound_ack=_MOST_ACKS,
                stream_reset_rate_limit=(_UNLIMITED, _UNLIMITED),  # `guard` counts them, and others
                max_inbound_header_list_size=most_header_bytes,
                max_inbound_header_count=most_header_bytes // _FIELD_OVERHEAD_BYTES,
                max_continuations=max(8, most_header_bytes // _FRAME_BYTES),
            ),
        )
        settings = {
            Setting.MAX_CONCURRENT_STREAMS: max_streams,
            Setting.INITIAL_WINDOW_SIZE: STREAM_WINDOW_BYTES,
            Setting.MAX_HEADER_LIST_SIZE: max_header_size,
            Setting.NO_RFC7540_PRIORITIES: 1,  # RFC 9218 section 2.1
        }
        if tunnels:
            settings[Setting.ENABLE_CONNECT_PROTOCOL] = 1
        if upgraded is None:
            self._connection.initiate_connection(settings)
        else:
            self._connection.initiate_upgrade(upgraded, local_settings=settings, head_request=head_request)
        self._connection.set_local_window_size(CONNECTION_WINDOW_BYTES)
        self._highest = 0 if upgraded is None else 1  # of the streams that we have seen
        self._mid_frame = False  # what was sent may end within a frame
        self._rest = b""
        self.failed: int | None = None

    # --- in and out ---

    def receive(self, data: bytes) -> list[Event]:
        """What the bytes of the client mean, in order."""
        try:
            self._connection.receive_data(data)
        except ngh2.DenialOfServiceError:
            self._fail(ErrorCode.ENHANCE_YOUR_CALM)
        except (_LibraryError, MemoryError):
            self._fail(ErrorCode.PROTOCOL_ERROR)
        return self.events()

    def events(self) -> list[Event]:
        """What has come of sending, or of ending streams, since the last call."""
        events = self._connection.events()
        for event in events:
            if type(event) is RequestReceived:
                self._highest = event.stream_id
        return events

    def output(self, most: int) -> bytes:
        """At most `most` bytes to be sent; fewer only if there are no more at the moment."""
        if self.failed is not None:
            rest, self._rest = self._rest, b""
            return rest
        try:
            data = self._connection.data_to_send(most)
        except (_LibraryError, MemoryError):
            self._fail(ErrorCode.INTERNAL_ERROR)
            return self.output(most)
        if data:
            self._mid_frame = len(data) == most
        return data

    def _fail(self, code: int) -> None:
        self.failed = code
        if not self._mid_frame:
            self._rest = goaway(self._highest, code)

    # --- requests ---

    def took(self, stream_id: int, size: int) -> None:
        """The application has taken `size` bytes of a request body: the client may send as many more."""
        try:
            self._connection.acknowledge_received_data(size, stream_id)
        except _LibraryError:
            pass

    # --- responses ---

    # Each may come when the engine has closed the stream, or the connection, and has not told yet: nothing happens.

    def inform(self, stream_id: int, fields: Sequence[Header]) -> None:
        """Send an interim response."""
        try:
            self._connection.send_informational_response(stream_id, fields)
        except _LibraryError:
            pass

    def respond(self, stream_id: int, fields: Sequence[Header], end: bool) -> None:
        """Send the head of the final response; `end`: that is all."""
        try:
            self._connection.send_response(stream_id, fields, end_stream=end)
        except _LibraryError:
            pass

    def send(self, stream_id: int, data: bytes | memoryview, end: bool) -> None:
        """Send bytes of a body, as soon as the client's windows allow it."""
        try:
            self._connection.send_data(stream_id, data, end_stream=end)
        except _LibraryError:
            pass

    def end(self, stream_id: int, trailers: Sequence[Header]) -> None:
        """End a response behind its body."""
        try:
            if trailers:
                self._connection.send_trailers(stream_id, trailers)
            else:
                self._connection.end_stream(stream_id)
        except _LibraryError:
            pass

    def waiting(self, stream_id: int) -> int:
        """How many bytes of a response body wait to be sent."""
        try:
            return self._connection.queued_body_size(stream_id)
        except _LibraryError:
            return 0

    def window(self, stream_id: int) -> int:
        """How many bytes of a response body the client would take at the moment."""
        try:
            return min(self._connection.stream_remote_window_size(stream_id), self._connection.remote_window_size)
        except _LibraryError:
            return 0

    def share(self, stream_id: int) -> None:
        """Let a long response take turns with others (RFC 9218 section 4.2)."""
        try:
            self._connection.set_stream_priority(stream_id, _INCREMENTAL)
        except _LibraryError:
            pass

    def reset(self, stream_id: int, code: int) -> None:
        """End a stream at once (RST_STREAM); what waits of its response is dropped."""
        try:
            self._connection.reset_stream(stream_id, code)
        except _LibraryError:
            pass

    # --- the end ---

    def announce_end(self) -> None:
        """The first step: GOAWAY that still admits all streams (RFC 9113 section 6.8)."""
        try:
            self._connection.send_shutdown_notice()
        except _LibraryError:
            pass

    def ping(self, payload: bytes) -> None:
        """`PingAcknowledged` comes with the same eight bytes."""
        try:
            self._connection.ping(payload)
        except _LibraryError:
            pass

    def go_away(self) -> None:
        """The second step: GOAWAY with the last stream that was seen. Those that come behind it are ignored."""
        try:
            self._connection.send_goaway(ErrorCode.NO_ERROR)
        except _LibraryError:
            pass

    def terminate(self, code: int) -> None:
        """GOAWAY with `code`, and all streams end."""
        try:
            self._connection.terminate_connection(code)
        except _LibraryError:
            pass


def goaway(last_stream: int, code: int) -> bytes:
    """The bytes of a GOAWAY frame (RFC 9113 section 6.8)."""
    payload = last_stream.to_bytes(4, "big") + code.to_bytes(4, "big")
    return len(payload).to_bytes(3, "big") + bytes((_GOAWAY, 0, 0, 0, 0, 0)) + payload
