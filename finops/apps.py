from django.apps import AppConfig

PREPARE_COPY = "finops.prepare_copy"


class FinopsConfig(AppConfig):
    """Cost data and the pages that show it."""

    name = "finops"
    verbose_name = "Cost data"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Let copies of cost data begin with the indexes that their readers need."""
        from finops.segments.documents import prepare_copy
        from replication.status import copy_begins

        copy_begins.connect(prepare_copy, dispatch_uid=PREPARE_COPY)
