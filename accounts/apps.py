from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class AccountsConfig(AppConfig):
    """Sign-in, groups and levels."""

    name = "accounts"
    verbose_name = "Access"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks, and bind each request's address to its log lines."""
        from django_structlog.signals import bind_extra_request_metadata

        from accounts import (  # noqa: F401 - importing registers
            checks,
            deployment_checks,
            session_index,
        )
        from accounts.addresses import bind_address

        bind_extra_request_metadata.connect(bind_address)


class LevelAdminConfig(AdminConfig):
    """Django's admin, with a site that is entered by level."""

    default_site = "accounts.admin_site.LevelAdminSite"

    def ready(self) -> None:
        """Find every app's registrations, and leave Django's own groups out.

        Levels come from Entra's groups; these would be a second, unseen way to rights.
        """
        super().ready()
        from django.contrib import admin
        from django.contrib.auth.models import Group

        admin.site.unregister(Group)
