from django.apps import AppConfig


class FinopsConfig(AppConfig):
    """Cost data and the pages that show it."""

    name = "finops"
    verbose_name = "Cost data"
    default_auto_field = "django.db.models.BigAutoField"
