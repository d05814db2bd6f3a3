"""What every page's frame shows: who one is, where one may go, and how fresh the data is."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from accounts.guard import get_current_permission
from accounts.levels import PermissionLevel
from accounts.permissions import UserPermission
from accounts.scopes import NOTHING, Scope
from finops.freshness import Freshness, dataset_freshness
from finops.models import Dataset
from finops.navigation import Entry, navigation

_SHOWN = "_finops_shown_dataset"


def shown_dataset(request: HttpRequest) -> Dataset | None:
    """Return the data set that the pages show, or ``None`` before the first one is set up.

    It is read once a request, so that all of a page is about one version.
    """
    found: list[Dataset | None] | None = getattr(request, _SHOWN, None)
    if found is None:
        found = [Dataset.objects.first()]
        setattr(request, _SHOWN, found)
    return found[0]


@dataclass(frozen=True)
class Shell:
    """The frame of one request's page. Each part is read when the template asks for it."""

    request: HttpRequest

    @cached_property
    def level(self) -> PermissionLevel | None:
        """The person's level; ``None`` for somebody who is not signed in."""
        return get_current_permission(self.request)

    @property
    def level_name(self) -> str:
        """The level as people read it."""
        return self.level.label if self.level else ""

    @property
    def is_admin(self) -> bool:
        """Whether errors may be shown in full."""
        return self.level is not None and self.level >= PermissionLevel.ADMIN

    @property
    def scope(self) -> Scope:
        """The rows that the person may see; none where nobody is signed in."""
        permission: UserPermission | None = getattr(self.request, "permission", None)
        return permission.scope_for(PermissionLevel.VIEWER) if permission else NOTHING

    @property
    def person(self) -> str:
        """The person's name, for display only."""
        return str(self.request.user)

    @property
    def initials(self) -> str:
        """Up to two letters of the name."""
        words = self.person.split()
        return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper()

    @cached_property
    def navigation(self) -> list[Entry]:
        """The entries that the person's level allows."""
        return navigation(self.request, self.level) if self.level else []

    @cached_property
    def freshness(self) -> Freshness | None:
        """The shown data set's freshness; ``None`` where there is no data set yet."""
        dataset = shown_dataset(self.request)
        return dataset_freshness(dataset, self.scope) if dataset else None


def shell(request: HttpRequest) -> dict[str, Any]:
    """Give templates ``shell``, the product's version, and the layout to extend.

    A swap by htmx gets ``<main>`` and the freshness only; htmx asks for a whole page when it
    restores one from the browser's history.
    """
    htmx = getattr(request, "htmx", None)
    swap = htmx is not None and bool(htmx) and not htmx.history_restore_request
    return {
        "shell": Shell(request),
        "version": settings.VERSION,
        "layout": "swap.html" if swap else "base.html",
    }
