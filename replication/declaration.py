"""Connections and flows as a YAML file says them, read with the place of every mistake.

The file names what an administrator decides, under the names of the models' fields; never a
secret, only references to where one is.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import yaml
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from replication.errors import InvalidConfiguration
from replication.models import OnHistoryLost, OnPoison
from replication.spec import WriteMode

CONNECTION_FIELDS: Final = (
    *("uri", "auth_method", "tenant_id", "client_id", "scope", "secret_ref"),
)
FLOW_FIELDS: Final = (
    *("source", "source_database", "collection"),
    *("destination", "destination_database", "destination_collection"),
    *("partition_fields", "enabled", "on_history_lost"),
    *("filter", "field_rules", "hash_key_ref", "copy_indexes"),
    *("on_poison", "write_mode", "beyond_history"),
)
DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "connections": {
        **dict.fromkeys(CONNECTION_FIELDS, ""),
        "auth_method": "entra",
    },
    "flows": {
        **dict.fromkeys(FLOW_FIELDS, ""),
        "partition_fields": [],
        "enabled": True,
        "on_history_lost": OnHistoryLost.SNAPSHOT.value,
        "filter": {},
        "field_rules": [],
        "copy_indexes": False,
        "on_poison": OnPoison.DEAD_LETTER.value,
        "write_mode": WriteMode.AUTOMATIC.value,
        "beyond_history": False,
    },
}
_REQUIRED: Mapping[str, Sequence[str]] = {"connections": ("uri",), "flows": FLOW_FIELDS[:6]}
_TAG = "tag:yaml.org,2002:"
_DEEPEST = 20  # levels of a value: an alias may lead back to what it is part of

Fields = dict[str, Any]


@dataclass(frozen=True)
class Declaration:
    """What there should be: each connection's and each flow's fields by its name."""

    connections: Mapping[str, Fields]
    flows: Mapping[str, Fields]
    # Path, e.g. "flows.costs.collection", -> line from 1. No part of what is declared.
    lines: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)

    def place(self, path: str) -> str:
        """Return where in the file something is: the line of it, or of what it belongs to."""
        known = path
        while known and known not in self.lines:
            known = known.rpartition(".")[0]
        return f"line {self.lines[known]}, {path}" if known else path


def parse(text: str) -> Declaration:
    """Read a declaration.

    Raises:
        InvalidConfiguration: names the line and the path of everything that is unknown, missing,
            said twice or of the wrong type.
    """
    try:
        # Composed, never constructed: no tag of the file makes an object.
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise InvalidConfiguration([f"{line}no YAML: {error.problem}."]) from None
    except yaml.YAMLError:
        raise InvalidConfiguration(["no YAML: it holds a character that YAML forbids."]) from None
    reader = _Reader()
    sections = {name: reader.section(name, child) for name, child in reader.sections(node)}
    if reader.problems:
        raise InvalidConfiguration([text for _line, text in sorted(reader.problems)])
    return Declaration(sections.get("connections", {}), sections.get("flows", {}), reader.lines)


def render(declaration: Declaration) -> str:
    """Return the YAML that ``parse`` reads back as an equal declaration, defaults left out."""
    document = {
        section: {
            name: {
                key: value
                for key, value in fields.items()
                if value != DEFAULTS[section][key] or key in _REQUIRED[section]
            }
            for name, fields in sorted(entries.items())
        }
        for section, entries in (
            ("connections", declaration.connections),
            ("flows", declaration.flows),
        )
    }
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)


class _Reader:
    """Reads nodes by what is expected of them, so that nothing else in the file matters."""

    def __init__(self) -> None:
        self.problems: list[tuple[int, str]] = []
        self.lines: dict[str, int] = {}

    def sections(self, node: Node | None) -> Iterator[tuple[str, Node]]:
        """Yield the sections of the whole file; an empty file has none."""
        if node is not None:
            for name, child in self._entries(node, "", allowed=tuple(DEFAULTS)):
                if not _is(child, "null"):
                    yield name, child

    def section(self, section: str, node: Node) -> dict[str, Fields]:
        """Return the entries of a section, each with all its fields."""
        return {
            name: self._fields(section, f"{section}.{name}", child)
            for name, child in self._entries(node, section)
        }

    def _fields(self, section: str, path: str, node: Node) -> Fields:
        defaults = DEFAULTS[section]
        values = {
            key: value.copy() if isinstance(value, list | dict) else value
            for key, value in defaults.items()
        }
        given = set()
        for key, child in self._entries(node, path, allowed=tuple(defaults)):
            given.add(key)
            values[key] = self._value(f"{path}.{key}", child, defaults[key])
        if isinstance(node, MappingNode):
            missing = [key for key in _REQUIRED[section] if key not in given]
            if missing:
                self._problem(node, path, f"lacks {', '.join(missing)}")
        return values

    def _value(self, path: str, node: Node, default: object) -> object:
        name = path.rpartition(".")[2]
        if name in _READ_BY_NAME:
            return _READ_BY_NAME[name](self, path, node)
        if isinstance(default, list):
            return self._texts(path, node)
        if not isinstance(default, bool):
            return self._text(path, node)
        if isinstance(node, ScalarNode) and _is(node, "bool"):
            return node.value.lower() in ("true", "yes", "on")
        self._problem(node, path, f"is {_kind(node)}: expected true or false")
        return default

    def _text(self, path: str, node: Node) -> str:
        if isinstance(node, ScalarNode) and _is(node, "str"):
            return str(node.value)
        expected = "text, put it in quotes" if isinstance(node, ScalarNode) else "text"
        # The value itself is not told: it may be a password in the wrong place.
        self._problem(node, path, f"is {_kind(node)}: expected {expected}")
        return ""

    def _texts(self, path: str, node: Node) -> list[str]:
        if not isinstance(node, SequenceNode):
            self._problem(node, path, f"is {_kind(node)}: expected a list of text")
            return []
        items = enumerate(node.value)
        return [self._text(f"{path}[{number}]", child) for number, child in items]

    def _collections(self, path: str, node: Node) -> str:
        """Read one text, or a list of them."""
        if not isinstance(node, SequenceNode):
            return self._text(path, node)
        names = self._texts(path, node)
        for name, child in zip(names, node.value, strict=True):
            if "," in name:
                self._problem(child, path, "holds a comma: a list has one name or pattern an item")
        return ", ".join(names)

    def _mapping(self, path: str, node: Node) -> object:
        if not isinstance(node, MappingNode):
            self._problem(node, path, f"is {_kind(node)}: expected a mapping")
            return {}
        return self._plain(path, node)

    def _list(self, path: str, node: Node) -> object:
        if not isinstance(node, SequenceNode):
            self._problem(node, path, f"is {_kind(node)}: expected a list")
            return []
        return self._plain(path, node)

    def _plain(self, path: str, node: Node, depth: int = 0) -> object:
        """Read what JSON can hold, too."""
        if depth > _DEEPEST:
            self._problem(node, path, "goes too deep")
        elif isinstance(node, MappingNode):
            return {
                name: self._plain(f"{path}.{name}", child, depth + 1)
                for name, child in self._entries(node, path)
            }
        elif isinstance(node, SequenceNode):
            return [
                self._plain(f"{path}[{number}]", child, depth + 1)
                for number, child in enumerate(node.value)
            ]
        elif (read := _SCALARS.get(node.tag.removeprefix(_TAG))) is not None:
            try:
                value = read(SafeConstructor(), node)
            except (ConstructorError, ValueError):
                value = math.nan
            if not isinstance(value, float) or math.isfinite(value):
                return value
            self._problem(node, path, "is no number that JSON can hold")
        else:
            self._problem(node, path, f"is {_kind(node)}: put text in quotes, write extended JSON")
        return None

    def _entries(
        self, node: Node, path: str, *, allowed: Sequence[str] = ()
    ) -> Iterator[tuple[str, Node]]:
        if not isinstance(node, MappingNode) or not _is(node, "map"):
            self._problem(node, path, f"is {_kind(node)}: expected a mapping")
            return
        seen: set[str] = set()
        for key, child in node.value:
            if not isinstance(key, ScalarNode) or not _is(key, "str"):
                self._problem(key, path, f"has a name that is {_kind(key)}: expected text")
                continue
            name = key.value
            here = f"{path}.{name}" if path else name
            self.lines.setdefault(here, key.start_mark.line + 1)
            if allowed and name not in allowed:
                self._problem(key, here, f"is unknown: expected one of {', '.join(allowed)}")
            elif name in seen:
                self._problem(key, here, "is there twice")
            else:
                seen.add(name)
                yield name, child

    def _problem(self, node: Node, path: str, text: str) -> None:
        line = node.start_mark.line + 1
        self.problems.append((line, f"line {line}, {path or 'the file'}: {text}."))


# What is neither text, nor true or false, nor a list of texts.
_READ_BY_NAME: Mapping[str, Callable[[_Reader, str, Node], object]] = {
    "collection": _Reader._collections,
    "filter": _Reader._mapping,
    "field_rules": _Reader._list,
}
_SCALARS: Mapping[str, Callable[[SafeConstructor, Any], object]] = {
    "str": SafeConstructor.construct_yaml_str,
    "int": SafeConstructor.construct_yaml_int,
    "float": SafeConstructor.construct_yaml_float,
    "bool": SafeConstructor.construct_yaml_bool,
    "null": SafeConstructor.construct_yaml_null,
}


def _is(node: Node, kind: str) -> bool:
    return bool(node.tag == _TAG + kind)


def _kind(node: Node) -> str:
    names = {"map": "a mapping", "seq": "a list", "str": "text", "null": "empty"}
    name = node.tag.removeprefix(_TAG)
    return names.get(name, name)
