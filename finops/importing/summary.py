"""What an import did, for people and as JSON. Never the content of a row."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from finops.costs.metrics import Metric
from finops.importing.defects import Defects
from finops.importing.loading import Partition
from finops.importing.sums import RowSums, plain

METRICS = tuple(metric.focus_column for metric in Metric)


@dataclass
class ImportSummary:
    """The outcome of one import. Sums are by currency and first day of the billing month."""

    files: list[str] = field(default_factory=list)
    rows: int = 0  # in the files, those set aside included
    inserted: int = 0
    unchanged: int = 0
    removed: int = 0
    defects: Defects = field(default_factory=Defects)
    sums: dict[tuple[str, date], RowSums] = field(default_factory=dict)

    def add_up(self, parts: Mapping[tuple[Partition, str], RowSums]) -> None:
        """Take the sums of partitions and currencies over as those of months and currencies."""
        self.sums = {}
        for (partition, currency), part in parts.items():
            month = partition.billing_period.date().replace(day=1)
            self.sums.setdefault((currency, month), RowSums()).include(part)

    def text(self) -> str:
        """The summary for a terminal."""
        aside = self.defects.rows_set_aside
        counts = [("read", self.rows), ("inserted", self.inserted), ("unchanged", self.unchanged)]
        counts += [("removed", self.removed), ("set aside", aside)]
        parts = ["Rows: " + ", ".join(f"{count:,} {name}" for name, count in counts)]
        if self.sums:
            parts += ["", *self._sums_table()]
        if self.defects.counts:
            parts += ["", *self._defects_table()]
        return "\n".join(parts)

    def outcome(self) -> dict[str, int]:
        """What became of the rows."""
        return {
            "read": self.rows,
            "inserted": self.inserted,
            "unchanged": self.unchanged,
            "removed": self.removed,
            "set_aside": self.defects.rows_set_aside,
        }

    def report(self) -> dict[str, Any]:
        """The summary with all its details, fit for JSON; numbers of money are text."""
        return {
            "files": self.files,
            "rows": self.outcome(),
            "sums": [
                {"currency": currency, "billing_month": f"{month:%Y-%m}", "rows": part.rows}
                | {metric: plain(total) for metric, total in part.sums().items()}
                for (currency, month), part in sorted(self.sums.items())
            ],
            "defects": [
                {
                    "rule": rule.name,
                    "meaning": rule.value,
                    "column": column or None,
                    "rows": count.rows,
                    "first": [{"file": file, "line": line} for file, line in count.lines],
                }
                for (rule, column), count in sorted(self.defects.counts.items())
            ],
            "set_aside": [
                {
                    "file": row.file,
                    "line": row.line,
                    "rule": row.rule.name,
                    "columns": list(row.columns),
                }
                for row in self.defects.set_aside
            ],
        }

    def _sums_table(self) -> list[str]:
        rows = [["currency", "billed in", "rows", *METRICS]]
        by_currency = itertools.groupby(sorted(self.sums.items()), key=lambda item: item[0][0])
        for currency, items in by_currency:
            months = list(items)
            rows += [_sums_row(currency, f"{month:%Y-%m}", part) for (_, month), part in months]
            if len(months) > 1:
                rows.append(_sums_row(currency, "all", RowSums.over(part for _, part in months)))
        return table(rows, left=2)

    def _defects_table(self) -> list[str]:
        rows = [["defect", "column", "rows"]]
        for (rule, column), count in sorted(self.defects.counts.items()):
            rows.append([rule.value, column or "(the row)", f"{count.rows:,}"])
        return table(rows, left=2)


def _sums_row(currency: str, month: str, part: RowSums) -> list[str]:
    return [currency, month, f"{part.rows:,}", *map(plain, part.sums().values())]


def table(rows: Sequence[Sequence[str]], *, left: int) -> list[str]:
    """Lines with aligned columns, the first ``left`` of them flush left, a rule under the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return [lines[0], "  ".join("─" * width for width in widths), *lines[1:]]
