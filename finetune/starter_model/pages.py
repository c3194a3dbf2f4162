"""A made-up company's page: facts drawn at random, in the forms that help centres write them in."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from finetune.starter_model import slots


@dataclass(frozen=True, slots=True)
class Fact:
    """One rule for one thing; `values` fill the family's slots."""

    family: Mapping[str, Any]
    thing: str
    values: Mapping[str, str]

    def said(self, wording: str) -> str:
        """A wording with its slots filled, `{Thing}` with a capital."""
        filled = {**self.values, "thing": self.thing, "Thing": capital(self.thing)}
        filled |= {capital(slot): capital(value) for slot, value in self.values.items()}
        return wording.format(**filled)

    def statement(self, rng: random.Random) -> str:
        """The rule in any of its wordings."""
        return self.said(rng.choice(self.family["says"]))

    def question(self, rng: random.Random) -> str:
        """One of its questions."""
        return self.said(rng.choice(self.family["asks"]))


@dataclass(frozen=True, slots=True)
class Page:
    """A passage: where it stands, its text, and the sentences that its facts are told in.

    In a table a fact has no sentence of its own, and `sentences` holds None.
    """

    path: str
    text: str
    facts: tuple[Fact, ...]
    sentences: tuple[str | None, ...]


def page(family: Mapping[str, Any], company: str, rng: random.Random, *, long: bool) -> Page:
    """A page of one family's facts, about different things; a longer one has more to skip."""
    facts: dict[str, Fact] = {}
    for _ in range(rng.choice([1, 2, 3, 4] if long else [1, 1, 2])):
        fact = drawn(family, rng)
        facts[fact.thing] = fact
    title = rng.choice([company, f"{company}: {rng.choice(slots.words()['documents'])}"])
    path = rng.choice([f"{title} > {family['heading']}", title])
    return _written(path, tuple(facts.values()), rng, fillers=rng.choice([0, 1, 2]) if long else 0)


def drawn(family: Mapping[str, Any], rng: random.Random) -> Fact:
    """A fact of a family."""
    values = {slot: slots.draw(slot, rng) for slot in family["slots"]}
    return Fact(family, slots.thing(family, rng), values)


def changed(fact: Fact, company: str, rng: random.Random) -> Page:
    """A later notice that gives the same thing another value."""
    later = Fact(
        fact.family, fact.thing, {slot: slots.draw(slot, rng) for slot in fact.family["slots"]}
    )
    sentence = f"From {slots.draw('date', rng)} on: {later.statement(rng)}"
    return Page(f"{company}: Notice > What changes", sentence, (later,), (sentence,))


def capital(text: str) -> str:
    """With a capital first letter, the others as they are."""
    return text[:1].upper() + text[1:]


def _written(path: str, facts: tuple[Fact, ...], rng: random.Random, *, fillers: int) -> Page:
    extra = rng.sample(slots.words()["fillers"], fillers)
    form = rng.random()
    sentences: tuple[str | None, ...]
    if form < 0.2 and len(facts) > 1:
        first, *columns = facts[0].family["columns"]
        rows = [f"| {first} | {' | '.join(columns)} |", f"|{' --- |' * (len(columns) + 1)}"]
        rows += [f"| {capital(fact.thing)} | {_cells(fact, len(columns))} |" for fact in facts]
        sentences = (None,) * len(facts)
        text = "\n".join([*extra[:1], *([""] if extra else []), *rows])
    elif form < 0.4:
        sentences = tuple(fact.statement(rng) for fact in facts)
        text = "\n".join([*extra, *(f"- {sentence}" for sentence in sentences if sentence)])
    else:
        sentences = tuple(fact.statement(rng) for fact in facts)
        told = [sentence for sentence in sentences if sentence]
        for each in extra:
            told.insert(rng.randrange(len(told) + 1), each)
        if rng.random() < 0.15:
            told[0] = f"**{facts[0].family['heading']}.** {told[0]}"
        text = " ".join(told)
    return Page(path, text, facts, sentences)


def _cells(fact: Fact, columns: int) -> str:
    values = list(fact.values.values())
    return " | ".join(values) if len(values) == columns else ", ".join(values)
