"""A set of four questions so small that every stage can be followed by hand.

The words of `tail` are stop words to BM25, and words like others to the hashing embedder.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

CORPUS = {
    "cats": "cats purr softly",
    "dogs": "the dogs bark loudly",
    "birds": "birds sing",
    "tail": "of it at the",
    "empty": "",
}
QUERIES = {
    "same": "dogs bark",  # every stage finds it first
    "second": "birds sing softly",  # `birds` shares more words than the right one, everywhere
    "stem": "the loud",  # BM25 stems "loudly"; the vector sees "the" alone, more of it in `tail`
    "stop": "purr at of it",  # BM25 sees "purr" alone, the others three words of `tail`
    "only dense": "of it at",  # nothing is left of it for BM25
    "unjudged": "dogs",
}
QRELS = [
    ("same", "dogs", 1),
    ("second", "cats", 1),
    ("stem", "dogs", 1),
    ("stop", "cats", 1),
    ("only dense", "tail", 1),
    ("only dense", "cats", 0),
    ("unjudged", "cats", 0),
]
SECOND = 0.6309297535714575  # nDCG of one relevant document at rank 2: 1 / log2(3)

# Rank of the right document by stage, in the order of QRELS; 0 where it is not found.
RANKS = {
    "bm25": [1, 2, 1, 1, 0],
    "dense": [1, 2, 2, 2, 1],
    "fused": [1, 2, 1, 1, 1],
    "reranked": [1, 2, 1, 2, 1],
}
SCORES = {  # means over the five queries
    "bm25": {"nDCG@10": (3 + SECOND) / 5, "recall@20": 0.8, "MRR@10": 0.7},
    "dense": {"nDCG@10": (2 + 3 * SECOND) / 5, "recall@20": 1.0, "MRR@10": 0.7},
    "fused": {"nDCG@10": (4 + SECOND) / 5, "recall@20": 1.0, "MRR@10": 0.9},
    "reranked": {"nDCG@10": (3 + 2 * SECOND) / 5, "recall@20": 1.0, "MRR@10": 0.8},
}


def json_lines(texts: Mapping[str, str], **extra: str) -> str:
    """The lines of a corpus or of queries."""
    rows = [json.dumps({"_id": name, "text": text, **extra}) for name, text in texts.items()]
    return "\n".join(rows) + "\n"


def qrels(rows: Iterable[tuple[str, str, int]]) -> str:
    """With the header that BEIR has."""
    lines = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in rows)]
    return "\n".join(lines) + "\n"


def write_set(folder: Path, *, packed: bool = False) -> Path:
    """As BEIR ships it, or packed as the sets that training reads."""
    corpus, queries = json_lines(CORPUS, title=""), json_lines(QUERIES)
    (folder / "qrels").mkdir(parents=True)
    if packed:
        (folder / "corpus.jsonl.gz").write_bytes(gzip.compress(corpus.encode()))
        (folder / "queries.jsonl.gz").write_bytes(gzip.compress(queries.encode()))
        (folder / "qrels.tsv").write_text(qrels(QRELS))
    else:
        (folder / "corpus.jsonl").write_text(corpus)
        (folder / "queries.jsonl").write_text(queries)
        (folder / "qrels" / "test.tsv").write_text(qrels(QRELS))
    return folder
