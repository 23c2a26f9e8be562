"""Whether a token that is good is also good for what it was sent with: no input or output here."""

from holdfast.abuse.captcha.port import Solved
from holdfast.platform.policy import CaptchaPolicy

SKEW_SECONDS = 60
"""By how much the provider's clock may differ from ours."""


def objection(solved: Solved, policy: CaptchaPolicy, action: str, life_seconds: int, now: int) -> str | None:
    """Return why a solved captcha does not pass at `now` (ms), a word for the log; None where it passes.

    A site key is public, so that anybody can have captchas solved on a page, and for an action, of their own.
    """
    if solved.host not in policy.hosts:
        return "host"
    if solved.action is not None and solved.action != action:
        return "action"
    if solved.score is not None and solved.score < policy.minimum_score:
        return "score"
    if not -SKEW_SECONDS <= (now - solved.solved_at) / 1000 <= life_seconds + SKEW_SECONDS:
        return "age"
    return None
