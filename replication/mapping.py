"""Configurations from plain mappings, such as a parsed JSON or YAML file, and back.

A field's annotation says how it is read: text, numbers, lists of text, enums, and configurations
within configurations. A field with ``metadata=DURATION`` takes what ``parse_duration`` takes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from types import UnionType
from typing import Any, ClassVar, Self, Union, get_args, get_origin, get_type_hints

from replication.durations import parse_duration
from replication.errors import InvalidConfiguration

DURATION: Mapping[str, bool] = {"duration": True}
SECRET: Mapping[str, bool] = {"secret": True}
_NESTED = "auth_config"


class MappedConfig:
    """A frozen dataclass that can be read from a mapping with its fields' names."""

    # Name in a nested ``auth_config`` -> name of the field that it means. Empty: none is allowed.
    AUTH_CONFIG: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> Self:
        """Read a configuration; ``validate`` judges what it says.

        A nested ``auth_config`` is flattened into the fields beside it.

        Raises:
            InvalidConfiguration: names every field that is unknown, missing, contradicted by
                ``auth_config``, or of the wrong kind.
        """
        problems: list[str] = []
        flat = _flattened(values, cls.AUTH_CONFIG, problems)
        hints = get_type_hints(cls)
        known = {field.name: field for field in _fields(cls)}
        read: dict[str, Any] = {}
        for name, value in flat.items():
            if name not in known:
                problems.append(f"{name} is unknown: expected one of {', '.join(known)}.")
                continue
            try:
                read[name] = _read(hints[name], value, known[name])
            except InvalidConfiguration as error:
                problems += [f"{name}: {problem}" for problem in error.problems]
            except ValueError as error:
                problems.append(f"{name}: {error}.")
        if problems:
            raise InvalidConfiguration(problems)
        try:
            return cls(**read)
        except TypeError:  # a field without a default was not given
            missing = ", ".join(sorted(_required(cls) - read.keys()))
            raise InvalidConfiguration([f"{missing}: missing."]) from None

    def to_mapping(self) -> dict[str, Any]:
        """Return what ``from_mapping`` reads back as an equal configuration, without secrets."""
        return {
            field.name: _plain(getattr(self, field.name))
            for field in _fields(type(self))
            if not field.metadata.get("secret")
        }


def _fields(cls: type) -> tuple["Field[Any]", ...]:
    if not is_dataclass(cls):
        raise TypeError(f"{cls.__name__} is no dataclass")
    return fields(cls)


def _required(cls: type) -> set[str]:
    return {
        field.name
        for field in _fields(cls)
        if field.default is MISSING and field.default_factory is MISSING
    }


def _flattened(
    values: Mapping[str, object], names: Mapping[str, str], problems: list[str]
) -> dict[str, object]:
    flat = dict(values)
    if not names or _NESTED not in flat:
        return flat
    nested = flat.pop(_NESTED)
    if nested is None:
        return flat
    if not isinstance(nested, Mapping):
        problems.append(f"{_NESTED} is {type(nested).__name__}: expected a mapping.")
        return flat
    for inner, value in nested.items():
        name = names.get(inner)
        if name is None:
            problems.append(f"{_NESTED}.{inner} is unknown: expected one of {', '.join(names)}.")
        elif flat.get(name, value) != value:
            problems.append(f"{_NESTED}.{inner} contradicts {name}: give one of the two.")
        else:
            flat[name] = value
    return flat


def _read(hint: Any, value: object, field: "Field[Any]") -> object:
    if field.metadata.get("duration"):
        return parse_duration(value)
    if get_origin(hint) in (Union, UnionType):
        inner = next(kind for kind in get_args(hint) if kind is not type(None))
        return None if value is None else _read(inner, value, field)
    if get_origin(hint) is tuple:
        return tuple(_texts(value))
    if isinstance(hint, type) and issubclass(hint, MappedConfig) and isinstance(value, Mapping):
        return hint.from_mapping(value)
    if isinstance(hint, type) and issubclass(hint, Enum) and isinstance(value, str):
        if value in {member.value for member in hint}:
            return hint(value)
        known = ", ".join(str(member.value) for member in hint)
        raise ValueError(f"{value!r} is unknown: expected one of {known}")
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        # The value itself is not told: it may be an address with a password in the wrong place.
        raise ValueError(f"it is {type(value).__name__}, expected {hint.__name__}")
    return value


def _texts(value: object) -> Iterator[str]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"it is {type(value).__name__}, expected a list of text")  # noqa: TRY004
    for item in value:
        if not isinstance(item, str):
            raise ValueError("its items must be text")  # noqa: TRY004 - read as a problem
        yield item


def _plain(value: object) -> object:
    if isinstance(value, MappedConfig):
        return value.to_mapping()
    if isinstance(value, Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value
