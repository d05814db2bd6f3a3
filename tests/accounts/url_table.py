"""Who may open which URL: the one table. Whoever adds a URL adds its line here.

ANYBODY needs no sign-in. The others name the lowest level that opens the page; people below it are
refused with 403, and people who are not signed in are led to the sign-in page. Where a line ends
in ``**`` it stands for everything that begins so and has no line of its own.
"""

from enum import Enum

from accounts.levels import PermissionLevel


class Anybody(Enum):
    ANYBODY = "anybody"


ANYBODY = Anybody.ANYBODY
VIEWER, ANALYST, ADMIN = PermissionLevel

TABLE: dict[str, Anybody | PermissionLevel] = {
    "healthz": ANYBODY,
    "healthz/flows": ANYBODY,  # to METRICS_ALLOWED_NETWORKS
    "metrics": ANYBODY,  # to METRICS_ALLOWED_NETWORKS
    "sign-in/": ANYBODY,
    "signed-out/": ANYBODY,
    "oidc/authenticate/": ANYBODY,
    "oidc/callback/": ANYBODY,
    "oidc/logout/": ANYBODY,
    "oidc/front-channel-logout/": ANYBODY,
    "admin/login/": ANYBODY,  # the break-glass form; closed unless a setting opens it
    "": VIEWER,
    "signed-in-again/": VIEWER,
    "data/": ANALYST,
    "freshness/": VIEWER,
    "explore/": VIEWER,
    "explore/values/": VIEWER,
    "explore/views/": VIEWER,
    "explore/views/save/": VIEWER,
    "explore/views/<int:pk>/": VIEWER,
    "explore/views/<int:pk>/rename/": VIEWER,
    "explore/views/<int:pk>/delete/": VIEWER,
    "explore/views/<int:pk>/share/": VIEWER,
    "explore/views/<int:pk>/default/": VIEWER,
    "explore/rows/": ANALYST,
    "explore/rows.csv": ANALYST,
    "explore/export.csv": ANALYST,
    "explore/export.xlsx": ANALYST,
    "admin/": ADMIN,
    "admin/**": ADMIN,
}


def classified(address: str) -> Anybody | PermissionLevel | None:
    """Return who may open ``address``, a URL pattern; None for one without a line."""
    if address in TABLE:
        return TABLE[address]
    families = [key for key in TABLE if key.endswith("**") and address.startswith(key[:-2])]
    return TABLE[max(families, key=len)] if families else None
