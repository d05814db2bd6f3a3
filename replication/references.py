"""Secrets by reference: rows say where a secret is, and never what it is."""

from pathlib import Path

from django.conf import settings

from replication.errors import InvalidConfiguration


def read_secret(reference: str) -> str:
    """Return the secret that ``env:NAME`` or ``file:NAME`` leads to.

    Only variables that begin with MONGO_SECRET_ and files inside MONGO_SECRET_DIR are read, so
    that whoever edits connections cannot send other secrets of this machine to a host of theirs.

    Raises:
        InvalidConfiguration: when the reference is of no known kind or leads nowhere.
    """
    kind, _, name = reference.partition(":")
    if kind == "env" and name in settings.MONGO_SECRETS:
        return str(settings.MONGO_SECRETS[name])
    if kind == "file" and name and Path(name).name == name:
        try:
            return (Path(settings.MONGO_SECRET_DIR) / name).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise InvalidConfiguration(
                [f"secret_ref names the file {name!r} in MONGO_SECRET_DIR: {error.strerror}."]
            ) from None
    raise InvalidConfiguration(
        [
            f"secret_ref is {reference!r}: expected env:MONGO_SECRET_… (a variable that is set) or"
            " file:NAME (a file in MONGO_SECRET_DIR, without a folder)."
        ]
    )
