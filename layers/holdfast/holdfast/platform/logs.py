"""The one logger of every function: what names a person or opens a door never leaves it, exceptions included.

Of an exception it says where it came from and what kind it is; its message only where that is made of sentences of
ours, since anybody else's may repeat what a client sent. Bodies and headers of requests are never given to it.
"""

import os
import re
import traceback
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from holdfast.platform.errors import HoldfastError, InvariantBroken

if TYPE_CHECKING:
    from aws_lambda_powertools.logging.types import LogRecord
    from aws_lambda_powertools.utilities.data_masking import DataMasking

ERASED = "*****"

_NAMED = frozenset(
    "address authorization bearer captcha captcha_token card client_secret cookie credential customer customer_name "
    "cvc e_mail email family_name first_name full_name given_name holder iban id_token access_token refresh_token "
    "last_name mobile name names nickname otp passphrase password payment_method payment_token phone phone_number "
    "old_password new_password secret secret_code secret_key service_key api_key signature token".split()
)
"""Keys whose value is erased whatever it is; compared in snake case, so that customerName is customer_name."""

_KEPT = frozenset(
    "level location timestamp service cold_start function_name function_memory_size function_arn function_request_id "
    "correlation_id xray_trace_id sampling_rate request_id route method status code milliseconds tenant refusal "
    "exception_name".split()
)
"""What Powertools and the wrapper write of their own, on every line; no text of a client is among it."""

_RULES = (
    # Credentials come first: what is in them may look like the rest.
    (r"(?i)\b(bearer|basic)\s+[^\s\"',;]{4,}", rf"\1 {ERASED}"),
    (r"hk_[A-Za-z0-9-]+_[A-Za-z0-9]{4,}", ERASED),
    (r"eyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)*", ERASED),
    (r"\b(?:sk|rk|pk|tok|pm|card|src|rzp)_(?:test_|live_)?[A-Za-z0-9]{6,}", ERASED),
    (r"\bwhsec[_-][A-Za-z0-9+/=_-]{6,}", ERASED),
    (r"(?<=_secret_)[A-Za-z0-9]{4,}", ERASED),
    (
        r"""(?i)((?<![\w-])[\w-]{0,40}(?:pass(?:word|phrase|wd)|pwd|secret|token|api[_-]?key|authorization|cookie|captcha"""
        r"""|first_?name|last_?name|full_?name|customer_?name|holder)["']?\s*[=:]\s*)"""
        r"""(?:"[^"]*"|'[^']*'|[^\s,;&)}\]]+)""",
        rf"\g<1>{ERASED}",
    ),
    # pydantic repeats what it refuses.
    (r"(?s)(input_value=).*?(, input_type=)", rf"\1{ERASED}\2"),
    # Captcha tokens, cursors, ciphertexts: no word is that long, and a hash is shorter.
    (r"[A-Za-z0-9_.=+-]{80,}", ERASED),
    (r"[^\s@\"'<>(),;:\\\[\]{}|]{1,64}@[^\s@\"'<>(),;:\\\[\]{}|]+", ERASED),
    # Numbers of cards; then of phones: with a country's code, bare as India writes them, or from a town's nought.
    (r"(?<![\w.+-])\d(?:[ -]?\d){13,18}(?![\w-])", ERASED),
    (r"(?<![\w.])(?:\+|00)\d(?:[ ().\-/]{0,2}\d){6,14}(?!\w)", ERASED),
    (r"(?<![\w.-])[6-9]\d{4}[ -]?\d{5}(?![\w-])", ERASED),
    (r"(?<![\w.:-])\(?0\d{1,4}\)?[ /-]?\d{3,4}[ -]?\d{2,5}(?![\w:])", ERASED),
)
"""What is erased wherever it stands in a text, and what stands there instead."""

_LONGEST = 16_000
"""Characters of a text that are looked through and told: the trace of an exception has room."""

_VALIDATORS = frozenset({"pydantic_core", "aws_lambda_powertools"})
"""Whose errors list where a value was not as it should be."""


def logger() -> Logger:
    """Return the process's one logger."""
    return _LOGGER


class _Erasing(LambdaPowertoolsFormatter):
    """Powertools' JSON lines with every field clean, exceptions told without what others said in them."""

    def formatException(  # noqa: N802
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> str:
        return "\n".join(_described(ei[1])) if ei[1] is not None else ""

    def serialize(self, log: "LogRecord") -> str:
        fields: dict[str, Any] = {**log}
        fields.pop("exception_notes", None)
        clean: Any = {name: part if name in _KEPT else cleaned(part, name) for name, part in fields.items()}
        return super().serialize(clean)


def cleaned(value: Any, key: str = "") -> Any:
    """Return the value, under a key of this name, as a line of the log may have it."""
    if value is None or isinstance(value, bool | int | float):
        return ERASED if _is_named(key) and value is not None else value
    if _is_named(key):
        return _masking().erase(str(value))
    if isinstance(value, str):
        return erased(value)
    if isinstance(value, Mapping):
        return {erased(str(name)): cleaned(part, str(name)) for name, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [cleaned(part) for part in value]
    if isinstance(value, BaseException):
        return "\n".join(_described(value))
    return erased(str(value))


def erased(text: str) -> str:
    """Return the text without e-mail addresses, phone numbers, credentials, passwords and tokens."""
    text = text[:_LONGEST]
    if text.replace(" ", "").isalpha():
        return text
    for pattern, instead in _rules():
        if pattern.search(text):
            text = str(_masking().erase(text, regex_pattern=pattern.pattern, mask_format=instead))
    return text


@cache
def _rules() -> list[tuple[re.Pattern[str], str]]:
    """Return the rules, made ready by the first text that is more than words."""
    return [(re.compile(pattern), instead) for pattern, instead in _RULES]


@cache
def _masking() -> "DataMasking":
    """Return Powertools' data masking, imported by the first text of which something is erased."""
    from aws_lambda_powertools.utilities.data_masking import DataMasking

    return DataMasking()


@lru_cache(maxsize=256)
def _is_named(key: str) -> bool:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).replace("-", "_").lower() in _NAMED


def _described(error: BaseException) -> Iterator[str]:
    """Return the lines that say how an exception came about, the first of its causes first."""
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in chain:
        chain.append(following)
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)
    for one in reversed(chain):
        for frame, line in traceback.walk_tb(one.__traceback__):
            code = frame.f_code
            yield f"{code.co_filename}:{line} {code.co_qualname if hasattr(code, 'co_qualname') else code.co_name}"
        kind, said = type(one).__qualname__, _said(one)
        yield f"{kind}: {said}" if said else kind


def _said(error: BaseException) -> str:
    """Return what may be told of an exception beside its kind: nothing that could have come with a request."""
    if isinstance(error, HoldfastError | InvariantBroken):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    if (operation := getattr(error, "operation_name", None)) is not None:
        answer = getattr(error, "response", {}).get("Error", {})
        message = re.sub(r"'[^']*'|\"[^\"]*\"", ERASED, str(answer.get("Message", "")))
        return f"{answer.get('Code')} from {operation}: {message}"
    if type(error).__module__.partition(".")[0] in _VALIDATORS and hasattr(error, "errors"):
        return ", ".join(_fault(fault) for fault in error.errors())
    return ""


def _fault(fault: Any) -> str:
    """Return where a value was not as it should be, and how, of an error of pydantic's."""
    where = [part if re.fullmatch(r"\w{1,40}", part := str(step)) else "?" for step in fault["loc"]]
    return f"{'.'.join(where)} {fault['type']}"


_LOGGER = Logger(logger_formatter=_Erasing(serialize_stacktrace=False))
