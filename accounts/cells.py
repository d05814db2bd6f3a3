"""Text in cells of CSV files, which spreadsheets open: nothing of it may run as a formula there."""

from typing import Final

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


def safe(text: str) -> str:
    """Return ``text`` so that no spreadsheet takes it for a formula."""
    return f"'{text}" if text.startswith((*_FORMULA, "'")) else text


def plain(cell: str) -> str:
    """Return what ``safe`` was given."""
    marked = cell.startswith("'") and cell[1:].startswith((*_FORMULA, "'"))
    return cell[1:] if marked else cell
