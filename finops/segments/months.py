"""A file's roll-up summed over its days: what a page by months reads instead.

A file never crosses the end of a month, so where a page shows whole months and all days of a file
count, one row per combination of dimensions says as much as thirty. It is kept beside the roll-up,
under a name that follows from the roll-up's.
"""

import pyarrow as pa
import pyarrow.compute as pc

from finops.segments.rows import add_up
from finops.segments.schema import CHARGE_DAY, SegmentSchema

_ROLLUP, _MONTH = ".rollup.parquet", ".month.parquet"


def month_file(rollup_file: str) -> str:
    """The name of the file that sums up a file of roll-ups."""
    return rollup_file.removesuffix(_ROLLUP) + _MONTH


def sum_up(rollup: pa.Table, schema: SegmentSchema) -> pa.Table:
    """The roll-up of some days of one month as that of their first one; at least one row."""
    added = add_up(rollup, schema.dimensions[1:], schema)
    first = pc.min(rollup[CHARGE_DAY])
    dated = added.append_column(CHARGE_DAY, pa.repeat(first, len(added)))
    return dated.select(schema.rollup.names).cast(schema.rollup)
