"""Calls to partners' APIs over HTTP, and what their answers mean to every partner alike.

A call is one request at most: nothing is repeated and no redirect is followed. A request that is not sent in time is
not sent at all, since the limiter counts on when it arrives (PROTOCOL.md 19). Neither what is sent nor what is answered
is ever logged or raised.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx

from holdfast.partners.port import NOT_SENT, PartnerFailed

_CONNECTED_WITHIN, _PIECE_WITHIN = 0.8, 5.0
"""Seconds for a connection, and for each further piece of an answer."""

_KEPT_SECONDS = 90.0
"""How long a connection is kept that nobody uses: a worker asks every 16 seconds or so."""

ANSWERED_WITHIN = 10.0
"""Seconds from the request to the end of the answer, however it trickles in."""

MOST_BYTES = 5_000_000
"""The longest answer that is read, unpacked."""

_PACKED_AS = ("", "identity", "gzip")
"""How an answer may be packed: once at most, for what is packed twice is far longer than it can be seen to be."""

DONE, LIMITED = 200, 429
_TOO_LATE = "it would have been too late"
_SENDING = "http11.send_request_headers.started"


@dataclass(frozen=True)
class ApiAnswer:
    """What a partner answered, DONE or LIMITED, and the text that came with it."""

    status: int
    text: bytes


class Calls:
    """Partners' APIs, over connections that are kept."""

    def __init__(self, transport: httpx.BaseTransport | None = None) -> None:
        """Make the client; tests bring a transport."""
        self._client = httpx.Client(
            headers={"Accept-Encoding": "gzip"},
            follow_redirects=False,
            limits=httpx.Limits(keepalive_expiry=_KEPT_SECONDS),
            transport=transport,
        )

    def get(self, url: str, query: Mapping[str, str], headers: Mapping[str, str], send_by: float) -> ApiAnswer:
        """Ask for what is at `url`, unless that cannot be sent by `send_by` (of `time.monotonic`).

        Raises PartnerFailed.
        """
        left = send_by - time.monotonic()
        if left <= 0:
            raise PartnerFailed(NOT_SENT, _TOO_LATE)
        timeout = httpx.Timeout(_PIECE_WITHIN, connect=min(_CONNECTED_WITHIN, left), pool=left)
        try:
            with self._client.stream(
                "GET",
                url,
                params=dict(query),
                headers=dict(headers),
                timeout=timeout,
                extensions={"trace": _sending_by(send_by)},
            ) as response:
                _check(response.status_code)
                limited = response.status_code == LIMITED
                return ApiAnswer(response.status_code, _read_at_best(response) if limited else _read(response))
        except httpx.PoolTimeout:
            raise PartnerFailed(NOT_SENT, "no connection was free") from None
        except httpx.ConnectTimeout:
            code = "unreachable" if left >= _CONNECTED_WITHIN else NOT_SENT
            raise PartnerFailed(code, "no connection in time") from None
        except (httpx.ConnectError, httpx.InvalidURL, httpx.UnsupportedProtocol) as lost:
            raise PartnerFailed("unreachable", f"no connection ({type(lost).__name__})") from None
        except httpx.TimeoutException as lost:
            raise PartnerFailed("timed_out", f"no answer in time ({type(lost).__name__})") from None
        except httpx.DecodingError:
            raise PartnerFailed("bad_answer", "the answer cannot be unpacked") from None
        except httpx.HTTPError as lost:
            raise PartnerFailed("dropped", f"the connection ended ({type(lost).__name__})") from None


@cache
def shared() -> Calls:
    """Return the calls of this process, made once: all partners share one client."""
    return Calls()


def _sending_by(send_by: float) -> Any:
    """Return what raises PartnerFailed where a request is about to be sent too late.

    A name server, or a machine that stood still, keeps to no time-out.
    """

    def look(event: str, _about: Mapping[str, Any]) -> None:
        if event == _SENDING and time.monotonic() > send_by:
            raise PartnerFailed(NOT_SENT, _TOO_LATE)

    return look


def _check(status: int) -> None:
    """Raise PartnerFailed for what is no answer to go on with."""
    if status in (DONE, LIMITED):
        return
    if status >= 500:
        raise PartnerFailed("server_error", f"status {status}")
    raise PartnerFailed("refused" if status >= 400 else "bad_answer", f"status {status}")


def _read(response: httpx.Response) -> bytes:
    if response.headers.get("Content-Encoding", "").strip().lower() not in _PACKED_AS:
        raise PartnerFailed("bad_answer", "the answer is packed as was not asked for")
    text, began = bytearray(), time.monotonic()
    for piece in response.iter_bytes():
        text += piece
        if len(text) > MOST_BYTES:
            raise PartnerFailed("bad_answer", f"the answer is longer than {MOST_BYTES} bytes")
        if time.monotonic() - began > ANSWERED_WITHIN:
            raise PartnerFailed("timed_out", f"the answer did not end within {ANSWERED_WITHIN:.0f} s")
    return bytes(text)


def _read_at_best(response: httpx.Response) -> bytes:
    """Return what comes with a refusal, nothing where that cannot be read: it is one all the same."""
    try:
        return _read(response)
    except (httpx.HTTPError, PartnerFailed):
        return b""
