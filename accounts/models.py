"""People, as Entra ID knows them."""

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """A person. ``tid`` and ``oid`` are the identity; names and addresses are for display only."""

    tid = models.UUIDField(null=True, blank=True, editable=False)
    oid = models.UUIDField(null=True, blank=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tid", "oid"], name="accounts_user_identity"),
        ]
