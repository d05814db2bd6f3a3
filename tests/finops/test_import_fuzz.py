"""Whatever a file holds, an import ends with a summary or with an error of its own."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finops.importing.errors import ImportFailedError
from finops.importing.run import import_files
from tests.finops.focus_rows import ROW, MemoryCollection

HEADER = ",".join([*ROW, "Tags", "SkuPriceDetails", "x_SkuDetails", "x_Other"])
ODD = ['"', ",", "\n", "\r", "NULL", "\0", "\ufeff", "{", "[", "-", "1e9999", "1,5", "\\u0000", "é"]
odd = st.sampled_from([*ODD, *ROW.values()])
cells = st.lists(st.one_of(odd, st.text(max_size=8)), max_size=4).map("".join)
rows = st.dictionaries(st.sampled_from(HEADER.split(",")), cells, max_size=4)
lines = rows.map(
    lambda changes: ",".join(
        '"' + changes.get(name, ROW.get(name, "")).replace('"', '""') + '"'
        for name in HEADER.split(",")
    )
)
contents = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=300).map(lambda text: text.encode(errors="replace")),
    st.lists(st.one_of(lines, cells), max_size=6).map(
        lambda rows: "\n".join([HEADER, *rows]).encode(errors="replace")
    ),
    st.tuples(st.lists(lines, max_size=3), st.binary(max_size=50)).map(
        lambda parts: "\n".join([HEADER, *parts[0]]).encode(errors="replace") + b"\n" + parts[1]
    ),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(contents)
def test_any_file_ends_well(folder: Path, content: bytes) -> None:
    path = folder / "any.csv"
    path.write_bytes(content)
    collection = MemoryCollection()
    with suppress(ImportFailedError):
        summary = import_files([path], collection)
        assert summary.rows == summary.inserted + summary.defects.rows_set_aside
        assert len(collection.documents) == summary.inserted
        again = import_files([path], collection)
        assert (again.inserted, again.removed) == (0, 0)
        summary.text()
        summary.report()
