"""What production refuses to start with."""

from collections.abc import Mapping
from typing import Any, Final

CREDENTIALS: Final = (
    "ENTRA_CLIENT_SECRET",
    "ENTRA_CLIENT_CERTIFICATE_PATH",
    "ENTRA_FEDERATED_TOKEN_FILE",
)


def production_problems(settings: Mapping[str, Any]) -> list[str]:
    """Return one sentence for each setting that production must not have. Empty means safe."""
    problems = []
    if settings["SANDBOX"]:
        problems.append(
            "SANDBOX is true: the sandbox hands out tokens to anybody; unset it, or set"
            " FINOPS_ENV=development."
        )
    if settings["DEBUG"]:
        problems.append("DEBUG is true: error pages would show secrets; unset it.")
    if not settings["SECRET_KEY"]:
        problems.append("SECRET_KEY is not set: give it 50 or more random characters.")
    elif len(settings["SECRET_KEY"]) < 50:
        problems.append("SECRET_KEY is shorter than 50 characters: give it 50 or more random ones.")
    if not settings["ALLOWED_HOSTS"] or "*" in settings["ALLOWED_HOSTS"]:
        problems.append("ALLOWED_HOSTS must list the host names that the site answers to, not '*'.")
    problems += [
        f"{name} is {settings[name] or 'not set'}: it must be an https:// address."
        for name in ("SITE_URL", "ENTRA_AUTHORITY_HOST", "AZURE_AUTHORITY_HOST")
        if not settings[name].startswith("https://")
    ]
    if settings["GRAPH_URL"] and not settings["GRAPH_URL"].startswith("https://"):
        problems.append(f"GRAPH_URL is {settings['GRAPH_URL']}: it must be an https:// address.")
    given = [name for name in CREDENTIALS if settings[name]]
    if len(given) != 1:
        problems.append(
            f"{' and '.join(given) or CREDENTIALS[0]} {'are' if given else 'is not'} set: sign-in"
            f" needs exactly one of {', '.join(CREDENTIALS)}."
        )
    problems += [
        f"{name} is not set: it comes from the app registration in Entra ID."
        for name in ("ENTRA_TENANT_ID", "ENTRA_CLIENT_ID")
        if not settings[name]
    ]
    return problems
