"""The entries of the navigation, by permission level."""

from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import reverse

from accounts.levels import PermissionLevel


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the navigation. ``icon`` is a template."""

    label: str
    url: str
    icon: str
    current: bool


_ENTRIES = (
    # (label, URL name, icon, the level from which on it is shown)
    ("Overview", "finops:overview", "icons/overview.svg", PermissionLevel.VIEWER),
    ("Explorer", "finops:explore", "icons/explorer.svg", PermissionLevel.VIEWER),
    ("Data", "finops:data", "icons/data.svg", PermissionLevel.ANALYST),
    ("Administration", "admin:index", "icons/administration.svg", PermissionLevel.ADMIN),
)


def navigation(request: HttpRequest, level: PermissionLevel) -> list[Entry]:
    """Return what a person of ``level`` may open, in order."""
    here = request.resolver_match.view_name if request.resolver_match else ""
    return [
        Entry(label, reverse(name), icon, current=name == here)
        for label, name, icon, needed in _ENTRIES
        if level >= needed
    ]
