"""Bodies of several shapes at one address: names that only one shape has say which is meant."""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError


class Shapes:
    """The shapes that a body may have, each by the names of fields that no other shape has."""

    def __init__(self, shapes: dict[str, tuple[str, ...]]) -> None:
        """Take the names by the tags of the shapes; a tag in angle brackets is not named in errors."""
        self._shapes = shapes

    def tag_of(self, value: Any) -> str | None:
        """Return the tag of the shape that a body, raw or read, has; None where that is not one."""
        found = self._found(value)
        return next(iter(found)) if len(found) == 1 else None

    def one(self, value: Any) -> Any:
        """Return the body if it is of one shape, or no object; else raise what names the fields of every shape."""
        found = self._found(value)
        if not isinstance(value, dict) or len(found) == 1:
            return value
        raise _mixture([name for names in found.values() for name in names]) if found else self._none_of_them()

    def only(self, tag: str) -> Callable[[Any], Any]:
        """Return what raises, naming the fields, where a body has some of another shape than this."""

        def checked(value: Any) -> Any:
            others = [name for other, names in self._found(value).items() if other != tag for name in names]
            if others:
                raise _mixture(others)
            return value

        return checked

    def _found(self, value: Any) -> dict[str, list[str]]:
        """Return by their tags which names a body has of each shape of which it has any."""
        if isinstance(value, BaseModel):
            present = {field.alias or name for name, field in type(value).model_fields.items()}
        else:
            present = set(value) if isinstance(value, dict) else set()
        found = {tag: [name for name in names if name in present] for tag, names in self._shapes.items()}
        return {tag: names for tag, names in found.items() if names}

    def _none_of_them(self) -> ValidationError:
        expected = [names[0] for names in self._shapes.values()]
        return _wrong("missing", f"One of {' and '.join(expected)} is needed.", expected)


def _mixture(names: list[str]) -> ValidationError:
    return _wrong("mixture", "This does not go together with the other fields.", names)


def _wrong(code: str, sentence: str, names: list[str]) -> ValidationError:
    errors = [InitErrorDetails(type=PydanticCustomError(code, sentence), loc=(name,), input=None) for name in names]
    return ValidationError.from_exception_data("body", errors)
