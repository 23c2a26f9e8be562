"""A captcha provider's server on 127.0.0.1, as its documentation has it answer, and the providers that ask it."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from holdfast.abuse.captcha.calls import Calls
from holdfast.abuse.captcha.hcaptcha import HCaptcha
from holdfast.abuse.captcha.port import Captcha
from holdfast.abuse.captcha.recaptcha import Recaptcha
from holdfast.abuse.captcha.recaptcha_enterprise import RecaptchaEnterprise
from holdfast.abuse.captcha.turnstile import Turnstile

JSON = "application/json; charset=utf-8"
SECRET = "the-secret-of-the-tenant"
HOST, ACTION, ADDRESS = "shop.example.com", "reserve", "192.0.2.7"
SOLVED_AT = "2027-03-01T10:00:00Z"
SOLVED_AT_MS = 1_803_895_200_000


@dataclass(frozen=True)
class Asked:
    """A request that came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        """The form that was sent; every field once."""
        pairs = parse_qsl(self.body.decode(), keep_blank_values=True, strict_parsing=True)
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)


@dataclass(frozen=True)
class Says:
    """An answer: a JSON value or bytes, after so many seconds; `cut` breaks the connection off halfway."""

    body: Any
    status: int = 200
    content_type: str | None = JSON
    after: float = 0
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False

    @property
    def content(self) -> bytes:
        """The body's bytes."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Rule = Callable[[Asked], Says]


class Outside:
    """The server. It says what stands in `answers`, in order, the last of them for good, or what a `rule` says."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answers: list[Says] = []
        self.rule: Rule | None = None
        outside = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outside._serve(self)

            def do_GET(self) -> None:
                outside._serve(self)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """Answer nobody any more."""
        self._server.shutdown()
        self._server.server_close()

    def say(self, *answers: Says | Any) -> None:
        """Say these, one after the other."""
        self.answers = [answer if isinstance(answer, Says) else Says(answer) for answer in answers]

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = Asked(request.path, headers, body)
        self.asked.append(asked)
        if self.rule is not None:
            answer = self.rule(asked)
        else:
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        time.sleep(answer.after)
        try:
            request.send_response(answer.status)
            if answer.content_type is not None:
                request.send_header("Content-Type", answer.content_type)
            for name, value in answer.headers.items():
                request.send_header(name, value)
            request.send_header("Content-Length", str(len(answer.content) * (2 if answer.cut else 1)))
            request.end_headers()
            request.wfile.write(answer.content)
            request.close_connection = answer.cut
        except OSError:
            request.close_connection = True


def siteverify(**more: Any) -> dict[str, Any]:
    """Return what all `siteverify` calls answer for a good token, with more or other fields."""
    return {"success": True, "challenge_ts": SOLVED_AT, "hostname": HOST, **more}


def assessment(token: dict[str, Any] | None = None, risk: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the assessment of a good token, with other fields of its token properties and its risk analysis."""
    properties = {
        "valid": True,
        "invalidReason": "INVALID_REASON_UNSPECIFIED",
        "hostname": HOST,
        "androidPackageName": "",
        "iosBundleId": "",
        "action": ACTION,
        "createTime": "2027-03-01T10:00:00.000Z",
    }
    analysis = {"score": 0.9, "reasons": [], "extendedVerdictReasons": [], "challenge": "CHALLENGE_UNSPECIFIED"}
    return {
        "name": "projects/123456789/assessments/b6ac310000000000",
        "event": {"token": "token", "siteKey": "site-key", "expectedAction": ACTION},
        "tokenProperties": properties | (token or {}),
        "riskAnalysis": analysis | (risk or {}),
    }


@dataclass(frozen=True)
class Known:
    """A provider: how it is made, and what it answers for tokens that are good, no good, and ours to see to."""

    make: Callable[[str, Calls], Captcha]
    good: dict[str, Any]
    forged: dict[str, Any]
    used: dict[str, Any]
    odd: dict[str, Any]
    path: str
    secret_refused: Says


def _refused(*codes: str, **more: Any) -> dict[str, Any]:
    return {"success": False, "error-codes": list(codes), **more}


_BAD_KEY = {
    "error": {
        "code": 400,
        "message": "API key not valid. Please pass a valid API key.",
        "status": "INVALID_ARGUMENT",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
                "metadata": {"service": "recaptchaenterprise.googleapis.com"},
            }
        ],
    }
}


def _invalid(reason: str) -> dict[str, Any]:
    invalid = {"valid": False, "invalidReason": reason, "hostname": "", "action": "", "createTime": None}
    return assessment(invalid, {"score": 0, "reasons": []})


PROVIDERS = {
    "recaptcha": Known(
        lambda url, calls: Recaptcha({"secret": SECRET, "base_url": url}, calls),
        good=siteverify(score=0.9, action=ACTION),
        forged=_refused("invalid-input-response"),
        used=_refused("timeout-or-duplicate"),
        odd=_refused("bad-request"),
        path="/api/siteverify",
        secret_refused=Says(_refused("invalid-input-secret")),
    ),
    "recaptcha_enterprise": Known(
        lambda url, calls: RecaptchaEnterprise({"api_key": SECRET, "base_url": url}, "my-project", "site-key", calls),
        good=assessment(),
        forged=_invalid("MALFORMED"),
        used=_invalid("DUPE"),
        odd=_invalid("UNKNOWN_INVALID_REASON"),
        path="/v1/projects/my-project/assessments",
        secret_refused=Says(_BAD_KEY, 400),
    ),
    "hcaptcha": Known(
        lambda url, calls: HCaptcha({"secret": SECRET, "base_url": url}, "site-key", calls),
        good=siteverify(credit=True, score=0.0, score_reason=[]),
        forged=_refused("invalid-input-response"),
        used=_refused("already-seen-response"),
        odd=_refused("sitekey-secret-mismatch"),
        path="/siteverify",
        secret_refused=Says(_refused("missing-input-secret")),
    ),
    "turnstile": Known(
        lambda url, calls: Turnstile({"secret": SECRET, "base_url": url}, calls),
        good=siteverify(
            **{"error-codes": [], "action": ACTION, "cdata": "x", "metadata": {"ephemeral_id": "x:9f78e0ed210960d7"}}
        ),
        forged=_refused("invalid-input-response", messages=[]),
        used=_refused("timeout-or-duplicate"),
        odd=_refused("a-code-of-tomorrow"),
        path="/v0/siteverify",
        secret_refused=Says(_refused("invalid-input-secret")),
    ),
}
"""The providers that are reached over HTTP."""
