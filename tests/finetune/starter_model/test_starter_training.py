"""The whole run on a tiny size: it learns, resumes to the same weights, and loads as any model."""

from __future__ import annotations

import itertools
import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.finetune.starter_model.starter_data import write_data

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from finetune.errors import TrainingError  # noqa: E402
from finetune.starter_model import __main__ as command  # noqa: E402
from finetune.starter_model import (  # noqa: E402
    evaluation,
    grounded,
    model,
    published,
    tokenizer,
    training,
)
from finetune.starter_model.batches import Mixture, Sources, batch  # noqa: E402
from finetune.starter_model.drills import drill  # noqa: E402
from finetune.starter_model.training import Plan  # noqa: E402

PLAN = Plan(steps=4, tokens=256, warmup=2)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    data = write_data(tmp_path_factory.mktemp("data"))
    return Sources(published.quoted(data), published.free_texts(data), published.plain_texts(data))


@pytest.fixture(scope="module")
def words() -> Any:
    rng = random.Random(1)
    told = [
        message.content for _ in range(200) for message in grounded.example(rng, long=True).messages
    ]
    return tokenizer.train(told, vocabulary=1024, context=1024)


def test_tokenizer_gives_a_conversation_back_and_splits_numbers(words: Any) -> None:
    passage = grounded.numbered([("Fees > Keys", "A key costs €1,250.")])
    ids = words(passage)["input_ids"]
    assert words.decode(ids) == passage
    assert [words.decode([each]) for each in words("1250")["input_ids"]] == ["1", "2", "5", "0"]
    assert len(words('<passage number="')["input_ids"]) == 1
    assert len(words) == 1024


def test_chat_template_marks_what_the_assistant_says(words: Any) -> None:
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    made = words.apply_chat_template(turns, return_dict=True, return_assistant_tokens_mask=True)
    said = [
        each for each, own in zip(made["input_ids"], made["assistant_masks"], strict=True) if own
    ]
    assert words.decode(said) == "Hello<|end|>"


def test_batch_learns_answers_whole_and_a_share_of_the_rest(sources: Sources, words: Any) -> None:
    made = batch(1, sources, words, Mixture(600), seed=1)
    again = batch(1, sources, words, Mixture(600), seed=1)
    assert torch.equal(made.ids, again.ids)
    assert torch.equal(made.context, again.context)
    assert made.ids.numel() <= 600
    assert not (made.answers & made.context).any()
    # Where an answer is learned, the token that ends it is too.
    ends = made.ids[:, 1:] == words.eos_token_id
    rows = made.answers.any(1)
    assert (made.answers & ends).sum(1)[rows].tolist() == [1] * int(rows.sum())


def test_drill_repeats_pieces_of_its_first_half(sources: Sources, words: Any) -> None:
    rng = random.Random(2)
    for _ in range(50):
        made = drill(sources.texts, words, rng, tokens=60)
        half = made.prompt_tokens
        first, second = made.input_ids[:half], made.input_ids[half:]
        assert sorted(first) == sorted(second)
        follows = {*itertools.pairwise(first)}
        kept = [pair in follows for pair in itertools.pairwise(second)]
        assert kept.count(False) <= 6


def test_losses_leave_padding_out(sources: Sources, words: Any) -> None:
    weights = model.build(model.SIZES["tiny"], words, seed=1)
    made = batch(1, sources, words, Mixture(600), seed=1)
    answers, context = training.losses(weights, made)
    wider = torch.nn.functional.pad(made.ids, (0, 3), value=7)
    masks = [torch.nn.functional.pad(mask, (0, 3)) for mask in (made.answers, made.context)]
    padded = training.losses(weights, type(made)(wider, *masks))
    assert padded[0].item() == pytest.approx(answers.item(), abs=1e-5)
    assert padded[1].item() == pytest.approx(context.item(), abs=1e-5)


def test_rate_is_low_for_drills_then_rises_stays_and_falls_to_zero() -> None:
    plan = Plan(
        steps=1000, drill_steps=100, warmup=100, learning_rate=1e-3, drill_learning_rate=2e-4
    )
    rates = [plan.rate(step) for step in (1, 100, 150, 200, 750, 876, 1000)]
    assert rates == pytest.approx([1e-5, 2e-4, 6e-4, 1e-3, 1e-3, 5e-4, 4e-6])


def test_fresh_model_copies_what_follows_a_token_that_it_saw(words: Any) -> None:
    weights = model.build(model.Size(1024, 256, 2, 256), words, seed=1)
    generator = torch.Generator().manual_seed(1)
    half = torch.randint(0, len(words), (8, 60), generator=generator)
    ids = torch.cat([half, half], dim=1)  # (rows, 120)
    with torch.inference_mode():
        guessed = weights(input_ids=ids).logits[:, 60:-1].argmax(-1)
    share = (guessed == ids[:, 61:]).float().mean().item()
    assert share > 0.1  # a hundred times what chance gives


def test_stopped_run_goes_on_to_the_same_weights(
    sources: Sources, words: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_STEPS", 2)
    monkeypatch.setattr(training, "VALIDATION_BATCHES", 1)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    whole.mkdir()
    stopped.mkdir()

    def fresh() -> Any:
        return model.build(model.SIZES["tiny"], words, seed=1)

    reference = fresh()
    training.train(reference, words, sources, PLAN, whole)

    def broken(step: int, *rest: Any, **options: Any) -> Any:
        if step == 3:
            raise KeyboardInterrupt
        return batch(step, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr(training, "batch", broken)
        with pytest.raises(KeyboardInterrupt):
            training.train(fresh(), words, sources, PLAN, stopped)
    resumed = fresh()
    training.train(resumed, words, sources, PLAN, stopped)
    ours = resumed.state_dict()
    assert all(torch.equal(value, ours[name]) for name, value in reference.state_dict().items())
    log = (stopped / training.LOG).read_text()
    steps = [json.loads(line)["step"] for line in log.splitlines()]
    assert steps == [2, 4]
    with pytest.raises(TrainingError, match="of another plan"):
        training.train(fresh(), words, sources, Plan(steps=5, tokens=256), stopped)


def test_command_writes_a_model_that_loads_without_code_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    monkeypatch.setattr(training, "VALIDATION_BATCHES", 1)
    monkeypatch.setattr(command, "TOKENIZER_DIALOGUES", 100)
    data, out = write_data(tmp_path / "data"), tmp_path / "run"
    options = ["--data", data, "--out", out, "--size", "tiny", "--steps", "2", "--measured", "2"]
    monkeypatch.setattr(sys, "argv", ["starter_model", *map(str, options), "--tokens", "256"])
    command.main()
    loaded: Any = AutoModelForCausalLM.from_pretrained(out / "model", dtype="auto")
    assert loaded.dtype == torch.bfloat16
    assert loaded.config.tie_word_embeddings
    assert AutoTokenizer.from_pretrained(out / "model").chat_template == tokenizer.CHAT_TEMPLATE
    scores = json.loads((out / "evaluation.json").read_text())
    assert set(scores) == {
        f"{kind}, {length}" for kind in ("invented", "published") for length in ("short", "long")
    }


@pytest.mark.parametrize(
    ("written", "word_for_word", "right_marker", "refused"),
    [
        ("A key costs €5. [1]", 1.0, 1.0, 0.0),
        ("A key costs €6. [1]", 0.0, 1.0, 0.0),
        ("A key costs €5. [2]", 0.0, 0.0, 0.0),
        ("The documents don't say.", 0.0, 0.0, 1.0),
    ],
)
def test_compare_counts_words_markers_and_refusals(
    written: str, word_for_word: float, right_marker: float, refused: float
) -> None:
    asked = grounded.conversation("", "How much is a key?", "A key costs €5. [1]")
    absent = grounded.conversation("", "Who makes keys?", grounded.NOT_IN_DOCUMENTS)
    scores = evaluation.compare([asked, absent], [written, written])
    assert scores.word_for_word_rate == word_for_word
    assert scores.right_marker_rate == right_marker
    assert scores.wrongly_refused_rate == refused
    assert scores.refused_rate == refused
    assert (scores.answerable, scores.unanswerable) == (1, 1)
