from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Sign-in, groups and levels."""

    name = "accounts"
    verbose_name = "Access"
    default_auto_field = "django.db.models.BigAutoField"
