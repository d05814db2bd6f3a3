"""Reading drawings back."""

from dataclasses import dataclass
from xml.etree import ElementTree as ET


@dataclass(frozen=True)
class Rectangle:
    colour: str
    top: float
    bottom: float


def parse(markup: str) -> ET.Element:
    """The drawing below one root; fails unless it is well-formed."""
    return ET.fromstring(f"<root>{markup}</root>")


def with_class(root: ET.Element, name: str) -> list[ET.Element]:
    return [one for one in root.iter() if name in one.get("class", "").split()]


def stack(column: ET.Element) -> list[Rectangle]:
    """The segments of one column, in the order in which they were drawn."""
    return [
        Rectangle(
            one.get("class", ""),
            float(one.get("y", "")),
            float(one.get("y", "")) + float(one.get("height", "")),
        )
        for one in column.iter("rect")
        if one.get("class") != "hit"
    ]


def texts(elements: list[ET.Element]) -> list[str]:
    return ["".join(one.itertext()) for one in elements]
