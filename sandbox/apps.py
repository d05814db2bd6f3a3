from django.apps import AppConfig


class SandboxConfig(AppConfig):
    """The demo's commands. Installed only while the sandbox is enabled."""

    name = "sandbox"
