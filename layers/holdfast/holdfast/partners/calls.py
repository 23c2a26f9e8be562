"""Calls to partners' APIs over HTTP, and what their answers mean to every partner alike.

A call is one request at most: nothing is repeated, no redirect is followed, and a request that could not be sent within
a second is not sent at all, since the limiter counts on its arrival then (PROTOCOL.md 19). Neither what is
sent nor what is answered is ever logged or raised.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx

from holdfast.partners.port import PartnerFailed

_TIMEOUT = httpx.Timeout(5.0, connect=0.8, pool=0.1)
"""Seconds: for each further piece of an answer, for the connection, and for one of those that are kept."""

SENT_WITHIN = 1.0
"""Seconds from the asking's begin to the request's being sent."""

ANSWERED_WITHIN = 10.0
"""Seconds from the asking's begin to the end of the answer, however it trickles in."""

MOST_BYTES = 5_000_000
"""The longest answer that is read, unpacked."""

DONE, LIMITED = 200, 429
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
            timeout=_TIMEOUT, headers={"Accept-Encoding": "gzip"}, follow_redirects=False, transport=transport
        )

    def get(self, url: str, query: Mapping[str, str], headers: Mapping[str, str], began: float) -> ApiAnswer:
        """Ask for what is at `url`; raises PartnerFailed. `began` is when the asking did, by `time.monotonic`."""
        try:
            with self._client.stream(
                "GET", url, params=dict(query), headers=dict(headers), extensions={"trace": _only_until(began)}
            ) as response:
                _check(response.status_code)
                return ApiAnswer(response.status_code, _read(response, began))
        except httpx.TimeoutException as lost:
            raise PartnerFailed("timed_out", f"no answer in time ({type(lost).__name__})") from None
        except (httpx.ConnectError, httpx.InvalidURL, httpx.UnsupportedProtocol) as lost:
            raise PartnerFailed("unreachable", f"no connection ({type(lost).__name__})") from None
        except httpx.DecodingError:
            raise PartnerFailed("bad_answer", "the answer cannot be unpacked") from None
        except httpx.HTTPError as lost:
            raise PartnerFailed("dropped", f"the connection ended ({type(lost).__name__})") from None


@cache
def shared() -> Calls:
    """Return the calls of this process, made once: all partners share one client."""
    return Calls()


def _only_until(began: float) -> Any:
    """Return what raises PartnerFailed where a request is about to be sent too late.

    A name server, or a machine that stood still, keeps to no time-out.
    """

    def look(event: str, _about: Mapping[str, Any]) -> None:
        if event == _SENDING and time.monotonic() - began > SENT_WITHIN:
            raise PartnerFailed("timed_out", "no connection in time, so nothing was sent")

    return look


def _check(status: int) -> None:
    """Raise PartnerFailed for what is no answer to go on with."""
    if status in (DONE, LIMITED):
        return
    if status >= 500:
        raise PartnerFailed("server_error", f"status {status}")
    raise PartnerFailed("refused" if status >= 400 else "bad_answer", f"status {status}")


def _read(response: httpx.Response, began: float) -> bytes:
    text = bytearray()
    for piece in response.iter_bytes():
        text += piece
        if len(text) > MOST_BYTES:
            raise PartnerFailed("bad_answer", f"the answer is longer than {MOST_BYTES} bytes")
        if time.monotonic() - began > ANSWERED_WITHIN:
            raise PartnerFailed("timed_out", f"the answer did not end within {ANSWERED_WITHIN:.0f} s")
    return bytes(text)
