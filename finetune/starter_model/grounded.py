"""Conversations about made-up companies: answers that only the numbered passages can give."""

from __future__ import annotations

import random
from collections.abc import Sequence

from finetune.examples import Example, Message, Role
from finetune.starter_model import slots
from finetune.starter_model.pages import Fact, Page, capital, changed, drawn, page

NOT_IN_DOCUMENTS = "The documents don't say."  # as serving says it; a test holds them together
UNANSWERABLE_RATE = 0.15
CHANGED_RATE = 0.08
TWO_FACTS_RATE = 0.08


def example(rng: random.Random, *, long: bool) -> Example:
    """One conversation: passages in the system turn, a question, a cited answer or none."""
    company = slots.company(rng)
    families = rng.sample(slots.families(), rng.choice([2, 3, 4, 5] if long else [1, 1, 2]))
    pages = [page(family, company, rng, long=long) for family in families]
    asked = pages[place(len(pages), rng)]
    fact = rng.choice(asked.facts)
    kind = rng.random()
    if kind < UNANSWERABLE_RATE:
        question, answer = _absent(pages, rng)
    elif kind < UNANSWERABLE_RATE + CHANGED_RATE:
        notice = changed(fact, company, rng)
        pages.insert(place(len(pages) + 1, rng), notice)
        question = notice.facts[0].question(rng)
        answer = _cited(notice, notice.facts[0], pages, rng)
    elif kind < UNANSWERABLE_RATE + CHANGED_RATE + TWO_FACTS_RATE and len(pages) > 1:
        other = rng.choice([each for each in pages if each is not asked])
        second = rng.choice(other.facts)
        question = (
            f"{fact.question(rng)} {rng.choice(['And: ', 'Also, ', ''])}{second.question(rng)}"
        )
        answer = f"{_cited(asked, fact, pages, rng)} {_cited(other, second, pages, rng)}"
    else:
        question = fact.question(rng)
        answer = _cited(asked, fact, pages, rng)
    return conversation(
        numbered([(each.path, each.text) for each in pages]), _asked(question, company, rng), answer
    )


def place(count: int, rng: random.Random) -> int:
    """Where among `count` passages the one stands that answers: retrieval puts it early, mostly."""
    return min(rng.choice([0, 0, 0, 0, 1, 1, 2, rng.randrange(count)]), count - 1)


def numbered(passages: Sequence[tuple[str, str]]) -> str:
    """Passages, (path, text) each, in the form that the prompts of Twofold have."""
    return "\n\n".join(
        f'<passage number="{number}" from="{path}">\n{text}\n</passage>'
        for number, (path, text) in enumerate(passages, start=1)
    )


def conversation(system: str, question: str, answer: str) -> Example:
    """One question and its answer; without a system turn if there is nothing in it."""
    turns = [Message(Role.SYSTEM, system)] if system else []
    turns += [Message(Role.USER, question), Message(Role.ASSISTANT, answer)]
    return Example(0, tuple(turns))


def _absent(pages: Sequence[Page], rng: random.Random) -> tuple[str, str]:
    """A question about a thing that the pages leave out, or a rule that none of them is about."""
    told = {fact.thing for each in pages for fact in each.facts}
    family = rng.choice(pages).facts[0].family
    if rng.random() < 0.3:
        family = rng.choice([each for each in slots.families() if each is not family])
    fact: Fact = drawn(family, rng)
    while fact.thing in told:
        fact = drawn(family, rng)
    return fact.question(rng), NOT_IN_DOCUMENTS


def _cited(source: Page, fact: Fact, pages: Sequence[Page], rng: random.Random) -> str:
    """The fact as its page words it, mostly, and the page's number."""
    sentence = source.sentences[source.facts.index(fact)]
    if sentence is None or rng.random() < 0.2:
        sentence = fact.statement(rng)
    return f"{sentence} [{pages.index(source) + 1}]"


def _asked(question: str, company: str, rng: random.Random) -> str:
    opener = rng.choice(slots.words()["openers"]).format(company=company)
    closer = rng.choice(slots.words()["closers"])
    if opener and opener[-2] not in ".:" and question.split(maxsplit=1)[0] not in ("I", "I'm"):
        question = question[:1].lower() + question[1:]
    asked = capital(f"{opener}{question}{closer}")
    return asked.lower().rstrip("?") if rng.random() < 0.06 else asked
