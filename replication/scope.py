"""Which collections a flow copies, and what each is called in the destination."""

import re
from dataclasses import dataclass
from functools import lru_cache

# Stands for the source collection's name in the name of its copy.
PLACEHOLDER = "{collection}"
_SYSTEM = "system."


@dataclass(frozen=True)
class CollectionScope:
    """Names of collections, and patterns in which ``*`` stands for any characters."""

    items: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "CollectionScope":
        """Read what an administrator wrote: names and patterns, separated by commas."""
        return cls(tuple(item for part in text.split(",") if (item := part.strip())))

    @property
    def names(self) -> tuple[str, ...]:
        """The collections that are named one by one."""
        return tuple(item for item in self.items if "*" not in item)

    @property
    def has_patterns(self) -> bool:
        """Whether only the source can say which collections there are."""
        return any("*" in item for item in self.items)

    @property
    def single(self) -> str | None:
        """The one collection that this is, or None when there are or can be several."""
        return self.items[0] if len(self.items) == 1 and not self.has_patterns else None

    def matches(self, name: str) -> bool:
        """Whether a collection is meant. A server's own collections are meant by no pattern."""
        if name in self.names:
            return True
        if name.startswith(_SYSTEM):
            return False
        return any(_compiled(item).fullmatch(name) for item in self.items if "*" in item)

    def renamed(self, template: str) -> "CollectionScope":
        """Return the names and patterns of the copies."""
        return CollectionScope(tuple(copy_name(template, item) for item in self.items))

    def overlaps(self, other: "CollectionScope") -> bool:
        """Whether there can be a name that both mean."""
        return any(_can_meet(one, two) for one in self.items for two in other.items)


def copy_name(template: str, collection: str) -> str:
    """Return what the copy of a collection is called."""
    return template.replace(PLACEHOLDER, collection)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)


def _can_meet(one: str, two: str) -> bool:
    """Whether some text matches both patterns."""
    reached = {(0, 0)}
    pending = [(0, 0)]
    while pending:
        left, right = pending.pop()
        if left == len(one) and right == len(two):
            return True
        for step in _steps(one, two, left, right):
            if step not in reached:
                reached.add(step)
                pending.append(step)
    return False


def _steps(one: str, two: str, left: int, right: int) -> list[tuple[int, int]]:
    """Return where one more character, or an empty ``*``, can lead from a pair of places."""
    first = one[left] if left < len(one) else ""
    second = two[right] if right < len(two) else ""
    steps = []
    if first == "*":
        steps.append((left + 1, right))
    if second == "*":
        steps.append((left, right + 1))
    if first and second and (first == second or "*" in (first, second)):
        steps.append((left + (first != "*"), right + (second != "*")))
    return steps
