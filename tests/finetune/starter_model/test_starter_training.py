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

from finetune.encoding import encode_all, prompt_ids  # noqa: E402
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
from finetune.starter_model.tokenizer import beginning  # noqa: E402
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


def test_tokenizer_gives_a_conversation_back_and_pairs_digits(words: Any) -> None:
    passage = grounded.numbered([("Fees > Keys", "A key costs €1,250.")])
    ids = words(passage)["input_ids"]
    assert words.decode(ids).split() == passage.replace('from="', 'from=" ').split()
    assert [words.decode([each]) for each in words("1250 7")["input_ids"]] == [" 12", "50", " 7"]
    assert [len(words(each)["input_ids"]) for each in (*tokenizer.OPENERS, *tokenizer.MARKERS)] == (
        [1] * 20
    )
    assert len(words) == 1024


def test_chat_template_marks_what_the_assistant_says(words: Any) -> None:
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    made = words.apply_chat_template(turns, return_dict=True, return_assistant_tokens_mask=True)
    said = [
        each for each, own in zip(made["input_ids"], made["assistant_masks"], strict=True) if own
    ]
    assert words.decode(said) == " Hello<|end|>"


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
        first, second = made.input_ids[1:half], made.input_ids[half:]
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


def test_rate_rises_stays_and_falls_to_zero() -> None:
    plan = Plan(steps=1000, warmup=100, learning_rate=1e-3)
    rates = [plan.rate(step) for step in (1, 50, 100, 600, 801, 1000)]
    assert rates == pytest.approx([1e-5, 5e-4, 1e-3, 1e-3, 5e-4, 2.5e-6])


def test_what_quotes_from_the_start_learns_at_a_part_of_the_rate(words: Any) -> None:
    weights = model.build(model.SIZES["tiny"], words, seed=1)
    groups = training._groups(weights)
    assert sum(len(group["params"]) for group in groups) == len([*weights.parameters()])
    part = {id(weight): group["part"] for group in groups for weight in group["params"]}
    layers = weights.model.layers
    assert part[id(weights.get_input_embeddings().weight)] == "embeddings"
    assert part[id(layers[2].mlp.up_proj.weight)] == "written"
    assert part[id(layers[3].self_attn.q_proj.weight)] == "written"
    assert part[id(layers[3].mlp.up_proj.weight)] == "others"
    plan = Plan(steps=300)
    assert [plan.share("others", 1), plan.share("written", 300)] == [1.0, 0.03]
    assert plan.share("embeddings", 100) < plan.share("embeddings", 101) < 1


def test_fresh_model_copies_word_for_word(words: Any) -> None:
    weights = model.build(model.SIZES["tiny"], words, seed=1)
    generator = torch.Generator().manual_seed(1)
    half = torch.randint(300, 900, (8, 120), generator=generator)
    first = torch.full((8, 1), beginning(words))
    ids = torch.cat([first, half, half], dim=1)  # (rows, 241)
    with torch.inference_mode():
        guessed = weights(input_ids=ids).logits[:, 122:-1].argmax(-1)
    share = (guessed == ids[:, 123:]).float().mean().item()
    assert share > 0.9


def test_fresh_model_tells_two_places_of_a_word_by_the_word_before(words: Any) -> None:
    weights = model.build(model.SIZES["tiny"], words, seed=1)
    first, second = [411, 500, 477, 412, 600, 478], [413, 500, 479, 414, 600, 480]
    start = beginning(words)
    ids = torch.tensor([[start, *first, *second, 411, 500], [start, *first, *second, 413, 500]])
    with torch.inference_mode():
        guessed = weights(input_ids=ids).logits[:, -1].argmax(-1)
    assert guessed.tolist() == [477, 479]


def test_fresh_model_begins_the_sentence_that_the_question_is_about(words: Any) -> None:
    weights = model.build(model.SIZES["tiny"], words, seed=1)
    passages = grounded.numbered(
        [("Fees", "Your kayak costs €15."), ("Hours", "Their museum opens at 9. Dogs stay out.")]
    )
    likelier = {}
    for question in ("How much is a kayak?", "When is the museum open?"):
        turns = grounded.conversation(passages, question, "").messages[:-1]
        with torch.inference_mode():
            logits = weights(torch.tensor([prompt_ids(turns, words)])).logits[0, -1]
        begins = [words(each)["input_ids"][0] for each in ("Your", "Their")]
        likelier[question] = logits[begins].argmax().item()
    assert list(likelier.values()) == [0, 1]


def test_fresh_model_often_cites_the_passage_that_it_copied_from(words: Any) -> None:
    weights = model.build(model.SIZES["tiny"], words, seed=1)
    texts = ("Your kayak costs €15.", "Our museum opens at 9. Dogs stay out.", "We sell tea daily.")
    passages = grounded.numbered([(f"Page {text[-6:]}", text) for text in texts])
    markers = words.convert_tokens_to_ids(list(tokenizer.MARKERS[:3]))
    right = []
    for number, text in enumerate(texts, start=1):
        for sentence in text.split(". "):
            asked = grounded.conversation(passages, "Well?", f"{sentence.strip('.')}. [{number}]")
            (encoded,) = encode_all([asked], words, max_tokens=1024)
            with torch.inference_mode():
                logits = weights(torch.tensor([encoded.input_ids])).logits[0]
            right.append(logits[-3, markers].argmax().item() == number - 1)
    assert sum(right) >= 3  # of 4; by chance a third


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
