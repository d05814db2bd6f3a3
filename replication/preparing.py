"""What is done to an empty copy before it is filled: whoever reads it wants its indexes then.

They cost nothing yet, and nobody waits for their build. The settings name a function; replication
knows nothing of readers.
"""

from collections.abc import Callable

import structlog
from django.conf import settings
from django.utils.module_loading import import_string

from replication.errors import describe
from replication.spec import Namespace

log = structlog.get_logger(__name__)

PrepareCopy = Callable[[str, Namespace], None]


def prepare_copy(flow: str, destination: Namespace) -> None:
    """Call what ``REPLICATION_PREPARE_COPY`` names, with the flow's name and its empty copy.

    What it raises is logged and changes nothing: the copy is right without.
    """
    try:
        import_string(settings.REPLICATION_PREPARE_COPY)(flow, destination)
    except Exception as error:  # noqa: BLE001 - of whatever the settings name
        log.warning("copy_not_prepared", flow=flow, error=describe(error))
