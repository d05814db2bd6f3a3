"""Files are opened and taken apart, or refused with a reason."""

import gzip
from pathlib import Path

import pytest

from finops.importing.errors import NotFocusError, UnreadableFileError
from finops.importing.reading import FocusFile
from tests.finops.focus_rows import ROW, csv_text, row

TEXT = csv_text([row(), row(BilledCost="2")])


def read(path: Path) -> list[list[str]]:
    with FocusFile(path) as file:
        return [cells for batch in file.batches(size=2) for cells in batch.cells]


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        TEXT.replace("\r\n", "\n").encode(),
        gzip.compress(TEXT.encode()),
        (TEXT + "\r\n\r\n").encode(),
    ],
    ids=["utf-8", "bom", "utf-16", "unix", "gzip", "empty lines"],
)
def test_files_in_their_forms(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    assert read(path) == [list(row().values()), list(row(BilledCost="2").values())]


def test_the_header_is_taken_in_any_letter_case(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    head, _, body = TEXT.partition("\r\n")
    path.write_text(f" {head.lower()} ,x_Other\r\n{body}")
    with FocusFile(path) as file:
        assert file.header == [*ROW, "x_Other"]


def test_position_ends_at_the_size(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(TEXT.encode()))
    with FocusFile(path) as file:
        for _ in file.batches():
            assert 0 < file.position <= file.size
        assert file.position == file.size


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "21 of the mandatory columns are missing: BilledCost, BillingAccountId"),
        (b"a;b;c\n1;2;3\n", "separated by semicolons"),
        (TEXT.replace("BilledCost,", "Cost,", 1).encode(), "are missing: BilledCost."),
        (("listcost," + TEXT).encode(), "the columns ListCost more than once"),
        (("_id," + TEXT).encode(), "column 1 is called '_id'"),
        (("," + TEXT).encode(), "column 1 is called ''"),
        (("$where," + TEXT).encode(), "column 1 is called '$where'"),
    ],
)
def test_headers_that_are_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(NotFocusError) as caught:
        FocusFile(path)
    assert says in str(caught.value)
    assert "Nothing was imported." in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (gzip.compress(TEXT.encode() * 50)[:-40], "ends too early"),
        (b"\x1f\x8b not gzip at all", "damaged gzip data"),
        (b"PAR1....", "cannot be read as Parquet"),
        (gzip.compress(b"PAR1...."), "is a Parquet file inside gzip"),
        (TEXT.encode() + b'"' + b"x\n" * 100_000, "Is a quote missing?"),
        (TEXT.encode() + b"x" * 9_000_000, "is longer than"),
    ],
    ids=["cut gzip", "no gzip", "cut parquet", "parquet in gzip", "quote", "one line"],
)
def test_files_that_cannot_be_read(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError) as caught:
        read(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for path in [tmp_path / "none.csv", tmp_path]:
        with pytest.raises(UnreadableFileError, match="cannot be read"):
            FocusFile(path)


def test_bytes_that_are_not_utf8_are_replaced_and_their_lines_known(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(TEXT.encode().replace(b"Main", b"M\xfcnchen", 1))
    with FocusFile(path) as file:
        (batch,) = file.batches()
        assert file.undecodable == [2]
    assert "M\ufffdnchen" in batch.cells[0]
