from django.apps import AppConfig


class ReplicationConfig(AppConfig):
    """Flows between MongoDB clusters."""

    name = "replication"
    verbose_name = "Replication"
    default_auto_field = "django.db.models.BigAutoField"
