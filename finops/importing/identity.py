"""What a document's ``_id`` is: its content, and which of its likes it is.

The same row gets the same ``_id`` at every import, wherever in whichever file it stands, so a
month imported again writes only what differs. Rows that are alike in everything are different
charges all the same: they are told apart by number. Alike rows are of one billing account and one
billing period, for both are part of the content.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import bson

_DIGEST = 16  # bytes: among 10**12 rows two alike by chance are less likely than 1 in 10**14


def digest(document: Mapping[str, Any]) -> bytes:
    """A fingerprint of a normalised document: SHA-256 over its BSON, cut to 128 bits.

    BSON says names, types and lengths, so two documents have the same only where they are the
    same. The fields must be in the order of their names, as ``rows.Normaliser`` leaves them.
    """
    return sha256(bson.encode(document)).digest()[:_DIGEST]


class Identities:
    """The ids given in one import. Holds about 120 bytes per distinct row."""

    def __init__(self) -> None:
        self._counts: dict[bytes, int] = {}

    def assign(self, document: dict[str, Any]) -> str:
        """Give a document its ``_id``, which is returned too."""
        key = digest(document)
        count = self._counts.get(key, 0) + 1
        self._counts[key] = count
        document["_id"] = identity = f"{key.hex()}-{count}"
        return identity
