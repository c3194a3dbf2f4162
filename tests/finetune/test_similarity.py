from __future__ import annotations

import random
from itertools import combinations

import pytest

from finetune import similarity
from finetune.similarity import (
    NEAR_FROM,
    REPRESENTATIVES,
    WHOLE,
    jaccard,
    near_pairs,
    normalised,
    shingles,
)
from tests.finetune.answer_sets import CALM, brand


def by_hand(first: str, second: str) -> float:
    """Jaccard similarity of the sets of runs of five characters."""
    one, two = ({text[at : at + 5] for at in range(len(text) - 4)} for text in (first, second))
    return len(one & two) / len(one | two)


def test_normalised_text_of_full_width_letters_and_signs_is_plain() -> None:
    assert normalised("Ｈｅｌｌｏ, -- World_1!") == "hello world 1"
    assert normalised(" 🎉 ") == "🎉"


def test_jaccard_of_shingles_equals_that_of_the_sets() -> None:
    first, second = "where is my bag now", "where is my hat now"
    expected = by_hand(first, second)
    assert 0.2 < expected < 0.8
    assert jaccard(shingles(first), shingles(second)) == pytest.approx(expected)


@pytest.mark.parametrize(("across", "most"), [(None, 2 * REPRESENTATIVES), (200, WHOLE)])
def test_near_pairs_of_many_texts_alike_compare_each_with_a_bounded_number(
    monkeypatch: pytest.MonkeyPatch, across: int | None, most: int
) -> None:
    count = 400
    bucket = list(range(count))
    monkeypatch.setattr(similarity, "_buckets", lambda _: iter([bucket, bucket]))
    pairs = [pair[:2] for pair in near_pairs(["Where is my bag now?"] * count, across=across)]
    assert len(set(pairs)) == len(pairs) <= WHOLE * WHOLE + count * most
    if across is None:
        assert {later for _, later in pairs} == set(range(1, count))
        assert set(combinations(range(WHOLE), 2)) <= set(pairs)
    else:
        assert {earlier for earlier, _ in pairs} == set(range(across))
        assert all(earlier < across <= later for earlier, later in pairs)


def test_near_pairs_are_those_that_comparing_all_finds() -> None:
    texts = [normalised(text) for text in brand(CALM, 60)]
    numbers = random.Random(3)
    texts += [text + " " + numbers.choice(("soon", "now")) for text in texts[:20]]
    expected = {
        pair
        for pair in combinations(range(len(texts)), 2)
        if by_hand(texts[pair[0]], texts[pair[1]]) >= NEAR_FROM
    }
    found = {(earlier, later) for earlier, later, _ in near_pairs(texts)}
    assert len(expected) > 20
    assert found <= expected
    across = {(earlier, later) for earlier, later, _ in near_pairs(texts, across=60)}
    assert across == {pair for pair in found if pair[0] < 60 <= pair[1]}
    assert len(found) >= 0.99 * len(expected)
