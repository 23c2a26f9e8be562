"""The API document as it is served, and the page over it."""

import json
import re
from base64 import b64encode
from hashlib import sha256

from tests.handlers.gateway import FUNCTIONS, event, send

COMMITTED = FUNCTIONS.parent / "openapi.json"


def test_the_document_is_served_as_it_is_committed() -> None:
    answer = send(event("GET", "/api/v1/openapi.json"), "documentation")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.json == json.loads(COMMITTED.read_text())


def test_the_page_loads_nothing_from_anywhere_else() -> None:
    answer = send(event("GET", "/api/v1/docs"), "documentation")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    outside_of_scripts = re.sub(r"<(script|style)>.*?</\1>", "", answer.text, flags=re.DOTALL)
    assert re.findall(r"(?:src|href)=\"([^\"]*)\"", outside_of_scripts) == ["data:,"]
    assert "@import" not in answer.text
    assert "SwaggerUIBundle" in answer.text


def test_the_page_forbids_itself_every_script_and_style_but_its_own_and_every_other_host() -> None:
    answer = send(event("GET", "/api/v1/docs"), "documentation")
    policy = dict(directive.strip().split(" ", 1) for directive in answer.headers["Content-Security-Policy"].split(";"))
    for kind, count in (("script", 2), ("style", 1)):
        own = re.findall(rf"<{kind}>(.*?)</{kind}>", answer.text, re.DOTALL)
        hashes = {f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" for text in own}
        assert len(hashes) == count
        assert set(policy[f"{kind}-src"].split()) == hashes
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert (policy["default-src"], policy["connect-src"]) == ("'none'", "'self'")
    assert "http" not in answer.headers["Content-Security-Policy"]
