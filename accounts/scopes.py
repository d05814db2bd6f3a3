"""Whose costs somebody may see: all of them, or those of certain sub accounts."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from django.conf import settings


@dataclass(frozen=True, slots=True)
class Scope:
    """The rows of these sub accounts (FOCUS ``SubAccountId``, compared as written); None: all.

    A row without a sub account belongs to ``ALL`` only.
    """

    sub_accounts: frozenset[str] | None

    @classmethod
    def of(cls, sub_accounts: Iterable[str] | None) -> "Scope":
        """Return the scope of these sub accounts; None gives ``ALL``."""
        return ALL if sub_accounts is None else cls(frozenset(sub_accounts))

    def __or__(self, other: "Scope") -> "Scope":
        if self.sub_accounts is None or other.sub_accounts is None:
            return ALL
        return Scope(self.sub_accounts | other.sub_accounts)

    def __str__(self) -> str:
        if self.sub_accounts is None:
            return "all sub accounts"
        return ", ".join(sorted(self.sub_accounts)) or "no rows"

    @property
    def is_all(self) -> bool:
        """Whether every row is within."""
        return self.sub_accounts is None

    @property
    def is_nothing(self) -> bool:
        """Whether no row can be within."""
        return self.sub_accounts is not None and not self.sub_accounts

    def to_list(self) -> list[str] | None:
        """Return what ``of`` reads, made of JSON's types, always in the same order."""
        return None if self.sub_accounts is None else sorted(self.sub_accounts)


ALL: Final = Scope(None)
NOTHING: Final = Scope(frozenset())


def union(scopes: Iterable[Scope]) -> Scope:
    """Return everything that any of ``scopes`` shows."""
    found = NOTHING
    for scope in scopes:
        found |= scope
    return found


def default_scope(*, scopes_in_use: bool) -> Scope:
    """Return what people without a mapped group see (``ENTRA_DEFAULT_SCOPE``).

    Where the setting says nothing: all rows until a mapping is scoped, none from then on.
    """
    setting = settings.ENTRA_DEFAULT_SCOPE
    if setting == ["all"]:
        return ALL
    if setting == ["none"]:
        return NOTHING
    if setting:
        return Scope(frozenset(setting))
    return NOTHING if scopes_in_use else ALL
