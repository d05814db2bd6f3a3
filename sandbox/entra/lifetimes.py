"""How long things live, in seconds; a control call changes them while the fake runs."""

import math
from dataclasses import dataclass, fields, replace


@dataclass(frozen=True)
class Lifetimes:
    """All in seconds, fractions allowed."""

    token: float = 3600.0
    code: float = 600.0
    federated: float = 3600.0

    def changed(self, changes: dict[str, object]) -> "Lifetimes":
        """These with ``changes``. Raises ``ValueError``, naming the field."""
        names = [field.name for field in fields(self)]
        for name, value in changes.items():
            if name not in names:
                raise ValueError(f"There is no lifetime {name!r}; expected {', '.join(names)}.")
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(  # noqa: TRY004 - a wrong value of a request
                    f"The lifetime {name!r} is {value!r}; expected seconds."
                )
            require_seconds(name, value)
        return replace(self, **changes)  # type: ignore[arg-type]  # checked above


def require_seconds(name: str, value: float) -> float:
    """``value`` again, if it is a positive number of seconds. Raises ``ValueError``."""
    if not math.isfinite(value) or not 0 < value <= 366 * 24 * 3600:
        raise ValueError(
            f"The lifetime {name!r} is {value:g}; expected more than 0 seconds and at most a year."
        )
    return float(value)
