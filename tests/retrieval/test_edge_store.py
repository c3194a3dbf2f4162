"""What is the Edge shard's alone: its folder, its lock, its manifest file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from retrieval.documents import passage_id
from retrieval.edge_store import MANIFEST, EdgeStore
from retrieval.errors import StoreError
from tests.retrieval.engines import AVG_LEN, EMBEDDER, INDEX, bm25, names, put


def test_open_of_a_held_folder_says_so(tmp_path: Path) -> None:
    holder = EdgeStore(tmp_path / "index", INDEX)
    with pytest.raises(StoreError, match="is another process using it") as raised:
        EdgeStore(tmp_path / "index", INDEX)
    holder.close()
    assert str(tmp_path / "index") in str(raised.value)


def test_open_writes_its_manifest(tmp_path: Path) -> None:
    EdgeStore(tmp_path / "index", INDEX).close()
    stored = json.loads((tmp_path / "index" / MANIFEST).read_text())
    expected = {"embedder": "hash", "dimension": 64, "language": "english", "avg_len": AVG_LEN}
    assert stored == expected


def test_open_with_a_damaged_manifest_names_the_remedy(tmp_path: Path) -> None:
    EdgeStore(tmp_path / "index", INDEX).close()
    (tmp_path / "index" / MANIFEST).write_text('{"embedder": ')
    with pytest.raises(StoreError, match="twofold documents rebuild"):
        EdgeStore(tmp_path / "index", INDEX)


def test_open_of_an_index_whose_making_was_cut_short_makes_it_anew(tmp_path: Path) -> None:
    EdgeStore(tmp_path / "index", INDEX).close()
    (tmp_path / "index" / MANIFEST).unlink()
    store = EdgeStore(tmp_path / "index", INDEX)
    put(store, "cats", "cats sleep")
    assert names(bm25(store, "cats")) == ["cats"]
    store.close()


def test_vectors_come_back_bit_for_bit(tmp_path: Path) -> None:
    store = EdgeStore(tmp_path / "index", INDEX)
    put(store, "hold", "dogs fly in the hold")
    found = store.vectors([passage_id(document="hold", generation=1, ordinal=0)])
    (expected,) = EMBEDDER.embed(["dogs fly in the hold"])
    store.close()
    assert found["dogs fly in the hold"].tobytes() == expected.tobytes()
