"""nDCG@10, recall@20 and MRR@10 of each query, computed by ir-measures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from eval.errors import needs_extra
from eval.stages import Ranking

MEASURES = ("nDCG@10", "recall@20", "MRR@10")

Scores = Mapping[str, NDArray[np.float64]]  # measure -> (queries,)


def score(ranking: Ranking, grades: Mapping[str, Mapping[str, int]]) -> Scores:
    """Each measure -> (queries,) in [0, 1], in the order of the grades.

    nDCG@10 = DCG / DCG of the ideal order, DCG = sum of grade / log2(rank + 1) over the first 10
    (Jarvelin and Kekalainen 2002, gains as in trec_eval). recall@20 is the share of the relevant
    documents among the first 20, MRR@10 is 1 / rank of the first relevant one among the first 10.
    A query without results scores 0.

    Raises:
        EvaluationError: ir-measures is missing.

    >>> {name: row.tolist() for name, row in score({"q": ["b", "a"]}, {"q": {"a": 1}}).items()}
    {'nDCG@10': [0.6309297535714575], 'recall@20': [1.0], 'MRR@10': [0.5]}
    """
    try:
        from ir_measures import RR, R, iter_calc, nDCG
    except ImportError as error:
        raise needs_extra(error) from error
    measures = dict(zip((nDCG @ 10, R @ 20, RR @ 10), MEASURES, strict=True))
    places = {query: place for place, query in enumerate(grades)}
    scores = {name: np.zeros(len(grades)) for name in MEASURES}
    # ir-measures orders by score; a rank's negative is one without ties.
    run = {
        query: {document: -float(rank) for rank, document in enumerate(ranking.get(query, ()))}
        for query in grades
    }
    for metric in iter_calc(list(measures), {q: dict(judged) for q, judged in grades.items()}, run):
        scores[measures[metric.measure]][places[metric.query_id]] = metric.value
    return scores
