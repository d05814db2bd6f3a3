"""Why a server does not take a document: told without anything that the document holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# DollarPrefixedFieldName, ImmutableField (also _id: NaN), DocumentValidationFailure,
# BSONObjectTooLarge, DuplicateKey (of a secondary index), KeyTooLong.
POISON_CODES = frozenset({52, 66, 121, 10334, 11000, 11001, 12582, 17280, 17419, 17420})
_DUPLICATE = frozenset({11000, 11001})
_DOLLAR = 52
_TOO_LARGE = "It is larger than the server takes."
_REASONS = {
    _DOLLAR: "The name of a field begins with a dollar sign.",
    66: "Its _id cannot be stored.",
    121: "It does not pass the validation rules of the copy.",
    10334: _TOO_LARGE,
    17280: "A value is too long for an index of the copy.",
    17419: _TOO_LARGE,
    17420: _TOO_LARGE,
}


@dataclass(frozen=True)
class Refusal:
    """Why a document is refused. ``reason`` holds names of fields, never a value."""

    code: int
    reason: str

    @property
    def by_unique_index(self) -> bool:
        """Whether another document has a value that only one may have."""
        return self.code in _DUPLICATE

    @property
    def by_kind_of_write(self) -> bool:
        """Whether the document may be inserted, and not replaced by an update."""
        return self.code == _DOLLAR


def refusal_of(code: int, error: Mapping[str, Any] | None = None) -> Refusal:
    """Return what an error says. ``error`` is a server's write error, where there is one."""
    if code in _DUPLICATE:
        names = ", ".join((error or {}).get("keyPattern", {})) or "what a unique index holds"
        return Refusal(code, f"Another document of the copy has the same {names}.")
    return Refusal(code, _REASONS.get(code, "The document cannot be written."))
