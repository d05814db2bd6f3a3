"""Blocks of documents are cut between documents, and split into exactly what they hold."""

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymongo import MongoClient

from replication.blocks import Blocks, measured
from replication.errors import WritesRefused
from replication.statements import PlainWriter
from replication.streams import RAW
from tests.replication.running import Document, raw

documents = st.lists(st.builds(lambda n: bson.encode({"_id": n, "x": "x" * n}), st.integers(0, 99)))


@given(st.lists(documents, max_size=4), st.integers(1, 7), st.integers(1, 200))
def test_pieces_hold_every_document_once_and_in_order(
    given: list[list[bytes]], most: int, size: int
) -> None:
    blocks = Blocks()
    for each in given:
        if each:
            blocks.append(b"".join(each), len(each))
    whole = [document for each in given for document in each]
    assert (list(blocks), len(blocks)) == (whole, len(whole))
    assert blocks[:2] == whole[:2]
    pieces = list(blocks.pieces(lambda: most, size))
    assert b"".join(data for data, _count in pieces) == b"".join(whole)
    for data, count in pieces:
        assert measured(data)[0] == count <= most
        assert len(data) <= size or count == 1


def test_small_blocks_are_joined() -> None:
    blocks = Blocks()
    for n in range(10):
        blocks.append(bson.encode({"_id": n}), 1)
    assert [count for _data, count in blocks.pieces(lambda: 4, 1000)] == [4, 4, 2]
    assert [count for _data, count in blocks.pieces(lambda: 4, 40)] == [2, 2, 2, 2, 2]


def test_a_block_is_measured_by_its_documents() -> None:
    first, second = bson.encode({"_id": 1}), bson.encode({"_id": 2, "x": "y"})
    assert measured(first + second) == (2, len(first))
    assert measured(b"") == (0, 0)


def test_blocks_are_inserted_as_they_are_and_refusals_are_told(
    mongo: MongoClient[Document],
) -> None:
    rows = mongo["blocks"]["rows"]
    rows.drop()
    blocks = Blocks()
    blocks.append(b"".join(bson.encode({"_id": n, "n": n}) for n in range(2500)), 2500)
    writer = PlainWriter(rows.with_options(codec_options=RAW), ordered=False)
    writer.insert_blocks(blocks, None)
    assert list(raw(rows).values()) == list(blocks)
    rows.delete_one({"_id": 7})
    with pytest.raises(WritesRefused) as refused:
        writer.insert_blocks(blocks, None)
    assert refused.value.code == 11000
