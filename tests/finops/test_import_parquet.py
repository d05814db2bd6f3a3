"""A month as Parquet is the same month as CSV: row by row, defect by defect, id by id."""

import csv
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finops.importing.defects import Rule
from finops.importing.errors import ImportFailedError, NotFocusError, UnreadableFileError
from finops.importing.reading import FocusFile
from finops.importing.run import Progress, import_files
from tests.finops.focus_rows import SAMPLE, MemoryCollection, row, write_csv

AMOUNT = pa.decimal128(38, 18)
TIME = pa.timestamp("us", tz="UTC")
TYPES = {
    "BilledCost": AMOUNT,
    "EffectiveCost": AMOUNT,
    "ListCost": pa.float64(),
    "ContractedCost": pa.decimal128(20, 10),
    "PricingQuantity": pa.int64(),
    "BillingPeriodStart": TIME,
    "BillingPeriodEnd": pa.timestamp("ns", tz="Europe/Berlin"),
    "ChargePeriodStart": TIME,
    "ChargePeriodEnd": pa.timestamp("ms", tz="UTC"),
    "ServiceName": pa.dictionary(pa.int32(), pa.string()),
    "ChargeClass": pa.string(),
    "Tags": pa.map_(pa.string(), pa.string()),
}


def typed(rows: list[dict[str, Any]]) -> pa.Table:
    """The rows as a provider's typed export."""

    def value(name: str, text: Any) -> Any:
        kind = TYPES.get(name, pa.string())
        if text == "":
            return None
        if pa.types.is_timestamp(kind):
            return datetime.fromisoformat(text).astimezone(UTC)
        if pa.types.is_decimal(kind):
            return Decimal(text)
        return kind.to_pandas_dtype()(text) if kind in (pa.float64(), pa.int64()) else text

    names = list(dict.fromkeys(name for each in rows for name in each))
    return pa.table(
        {
            name: pa.array([value(name, each.get(name)) for each in rows], TYPES.get(name))
            for name in names
        }
    )


def write_parquet(path: Path, table: pa.Table, **options: Any) -> Path:
    pq.write_table(table, path, **options)
    return path


def test_a_month_that_changes_its_format_changes_nothing(tmp_path: Path) -> None:
    rows = [row(), row(BilledCost="0.000000012345", ChargeClass="Correction"), row()]
    collection = MemoryCollection()
    import_files([write_csv(tmp_path / "a.csv", rows)], collection)
    again = import_files([write_parquet(tmp_path / "a.parquet", typed(rows))], collection)
    assert (again.inserted, again.unchanged, again.removed) == (0, 3, 0)
    assert again.defects.counts == {}


def test_the_official_sample_as_text_columns_is_the_sample(tmp_path: Path) -> None:
    with SAMPLE.open(encoding="utf-8-sig", newline="") as file:
        head, *cells = csv.reader(file)
    table = pa.table(dict(zip(head, zip(*cells, strict=True), strict=True)))
    path = write_parquet(tmp_path / "sample.parquet", table, row_group_size=300)
    collection = MemoryCollection()
    first = import_files([SAMPLE], collection)
    again = import_files([path], collection)
    assert (again.inserted, again.unchanged) == (0, 1000)
    counts = [
        {key: count.rows for key, count in one.defects.counts.items()} for one in (first, again)
    ]
    assert counts[0] == counts[1]


def test_maps_lists_and_structs_are_tags(tmp_path: Path) -> None:
    tags = [[("env", "prod"), ("plain", None), ("env", "test")], None]
    pairs = pa.list_(pa.struct([("key", pa.string()), ("value", pa.string())]))
    table = typed([row(), row()]).append_column("Tags", pa.array(tags, TYPES["Tags"]))
    details = [[{"key": "CoreCount", "value": "4"}], None]
    table = table.append_column("SkuPriceDetails", pa.array(details, pairs))
    table = table.append_column("x_SkuDetails", pa.array([{"b": 1, "a": Decimal("1.5")}, None]))
    collection = MemoryCollection()
    summary = import_files([write_parquet(tmp_path / "a.parquet", table)], collection)
    (tagged,) = [doc for doc in collection.documents.values() if "Tags" in doc]
    assert tagged["Tags"] == {"env": "test", "plain": True}
    assert tagged["SkuPriceDetails"] == {"CoreCount": "4"}
    assert tagged["x_SkuDetails"] == '{"a":"1.5","b":"1"}'
    assert summary.defects.rows(Rule.REPEATED_KEY, "Tags") == 1
    assert summary.defects.rows(Rule.PAIR_LIST, "SkuPriceDetails") == 1


def test_defects_are_counted_by_the_number_of_the_row(tmp_path: Path) -> None:
    table = typed([row(ListCost="nan"), row(), row(BilledCost="-1")])
    naive = table["ChargePeriodEnd"].cast(pa.timestamp("ms"))
    table = table.set_column(table.column_names.index("ChargePeriodEnd"), "ChargePeriodEnd", naive)
    raw = pa.array([b"fine", None, b"M\xfcnchen"])
    table = table.append_column("x_Raw", raw)
    path = write_parquet(tmp_path / "a.parquet", table)
    summary = import_files([path], MemoryCollection())
    lines = {key: [n for _, n in c.lines] for key, c in summary.defects.counts.items()}
    assert lines == {
        (Rule.NOT_A_NUMBER, "ListCost"): [1],
        (Rule.NEGATIVE_COST, "BilledCost"): [3],
        (Rule.NO_TIME_ZONE, "ChargePeriodEnd"): [1, 2, 3],
        (Rule.NOT_UTF8, ""): [3],
    }


def test_progress_goes_through_row_groups_to_the_end(tmp_path: Path) -> None:
    table = typed([row(BilledCost=str(i)) for i in range(2500)])
    path = write_parquet(tmp_path / "a.parquet", table, row_group_size=700)
    seen: list[Progress] = []
    import_files([path], MemoryCollection(), on_progress=seen.append)
    assert len(seen) > 4
    assert seen == sorted(seen, key=lambda progress: progress.bytes_read)
    assert (seen[-1].bytes_read, seen[-1].rows) == (path.stat().st_size, 2500)


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", typed([row()]).slice(0, 0))
    assert import_files([path], MemoryCollection()).rows == 0


def test_missing_columns_are_named(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", typed([row()]).drop_columns(["BilledCost"]))
    with pytest.raises(NotFocusError, match="are missing: BilledCost"):
        FocusFile(path)


def test_a_file_cut_short_is_refused_by_name(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", typed([row()]))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UnreadableFileError, match=rf"{path} cannot be read as Parquet"):
        FocusFile(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("parquet") / "whole.parquet"
    return write_parquet(path, typed([row(), row(BilledCost="2")])).read_bytes()


@settings(
    max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None, derandomize=True
)
@given(damage=st.lists(st.tuples(st.integers(4, 100_000), st.integers(0, 255)), max_size=8))
def test_a_damaged_file_ends_well(
    whole: bytes, tmp_path_factory: pytest.TempPathFactory, damage: list[tuple[int, int]]
) -> None:
    content = bytearray(whole)
    for place, value in damage:
        content[place % len(content) or 4] = value
    path = tmp_path_factory.getbasetemp() / "damaged.parquet"
    path.write_bytes(bytes(content))
    collection = MemoryCollection()
    with suppress(ImportFailedError):
        summary = import_files([path], collection)
        assert summary.rows == summary.inserted + summary.defects.rows_set_aside
