"""The three permission levels, ordered by privilege."""

from django.db import models


class PermissionLevel(models.IntegerChoices):
    """What a person may do. A higher level includes the lower ones."""

    VIEWER = 1, "Viewer"
    ANALYST = 2, "Analyst"
    ADMIN = 3, "Admin"

    @classmethod
    def parse(cls, value: object) -> "PermissionLevel":
        """Return the level that a name ("admin", in any case) or a number (3) stands for.

        Raises ``ValueError``, which lists the valid levels, for anything else.
        """
        if isinstance(value, str) and value.strip().upper() in cls.__members__:
            return cls[value.strip().upper()]
        if isinstance(value, int) and not isinstance(value, bool) and value in cls.values:
            return cls(value)
        valid = ", ".join(name.lower() for name in cls.__members__)
        raise ValueError(f"{value!r} is not a permission level; expected one of: {valid}.")
