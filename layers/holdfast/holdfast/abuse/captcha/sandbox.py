"""The sandbox: a captcha provider that is built in and asks nobody anything.

What becomes of a token is said by the token itself, so that every way in which captchas fail can be had on demand.
"""

from enum import StrEnum

from holdfast.abuse.captcha.port import NotSolved, ProviderOut, Solved, Verdict
from holdfast.platform.clock import Clock
from holdfast.platform.policy import CaptchaPolicy


class SandboxToken(StrEnum):
    """What tokens begin with, up to a point: `pass.1` and `pass.2` are two that both pass."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    LOW_SCORE = "low-score"
    WRONG_ACTION = "wrong-action"
    WRONG_HOST = "wrong-host"
    OLD = "old"
    USED = "used"
    OUTAGE = "outage"


class Sandbox:
    """The sandbox as one tenant uses it, which needs no secret."""

    life_seconds = 120

    def __init__(self, policy: CaptchaPolicy, clock: Clock) -> None:
        """Take the tenant's hosts, on the first of which all is solved, and the clock by which it is."""
        self._host = policy.hosts[0]
        self._clock = clock

    def verify(self, token: str, action: str, address: str | None) -> Verdict:
        """Return what the token says of itself; anything else is forged."""
        kind, now = token.partition(".")[0], self._clock.now()
        if kind == SandboxToken.OUTAGE:
            raise ProviderOut("the sandbox was told to be out")
        solved: dict[str, Solved] = {
            SandboxToken.PASS: Solved(self._host, now, action, 0.9),
            SandboxToken.LOW_SCORE: Solved(self._host, now, action, 0.0),
            SandboxToken.WRONG_ACTION: Solved(self._host, now, f"not-{action}", 0.9),
            SandboxToken.WRONG_HOST: Solved(f"not.{self._host}", now, action, 0.9),
            SandboxToken.OLD: Solved(self._host, now - 3_600_000, action, 0.9),
        }
        if kind == SandboxToken.USED:
            return NotSolved("timeout-or-duplicate")
        return solved.get(kind) or NotSolved("invalid-input-response")
