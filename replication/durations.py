"""Lengths of time as people write them in a configuration."""

import math
import re
from datetime import timedelta

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")


def parse_duration(value: object) -> float:
    """Return seconds for ``90``, ``1.5``, ``"90"``, ``"5m"``, ``"1h30m"``, ``"500ms"``, timedelta.

    Raises:
        ValueError: for anything else, and for what is negative or not finite.
    """
    seconds = math.nan
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str):
        seconds = _parse_text(value.strip())
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f'{value!r} is no duration: expected seconds, "5m", "1h30m" or "500ms"')
    return seconds


def _parse_text(text: str) -> float:
    if _NUMBER.fullmatch(text):
        return float(text)
    if _WHOLE.fullmatch(text):
        return math.fsum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    return math.nan
