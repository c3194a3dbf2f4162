"""First weights that can already find a sentence, copy it, and cite its passage.

To quote, a model looks for where the words just written stand in its prompt, and takes the word
that follows: an induction head (Olsson et al. 2022). Found by gradient descent from random weights,
this takes a small model longer than a CPU has time for, so it is written into the first weights, as
initial values that training changes like all others (compare mimetic initialisation, Trockman and
Kolter 2023). What the heads of each layer do at first:

1. Tell each token which two stand before it.
2. Tell each token of a passage how its sentence begins, and which passage it stands in.
3. Copy: find the place whose predecessors are the present tokens, and say what stands there; a word
   that stands in several places is found by the word before it. Also fetch that place's passage.
   For each word of the question: find it in the passages, and fetch how its sentence begins.
4. Where the answer begins, let the question's words vote how. Where a sentence ends, say the marker
   of the passage that it was copied from.

Every embedding has one dimension that is the same for all tokens, a constant. Queries and keys made
of it alone depend on nothing but the distance that RoPE turns them by, which is how a head looks
one token back, or for the nearest of a kind. All embeddings have one length, since a longer one
would count for more than a nearer one. Each thing that a token is told has directions of its own in
the residual stream. Every other head and all feed-forward layers add nothing at first.

Values are those that worked best in trials of a few seconds: how much is copied right from the
first step on, and whether the first hundred steps of training keep it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from finetune.starter_model.tokenizer import MARKERS, OPENERS

LAYERS = 4  # that are written to; heads have 64 dimensions, and there are 4 in a layer
CONSTANT = 0  # the dimension that is the same in all embeddings
STD = 0.5  # of an embedding's entries
CONSTANT_VALUE = 4 * STD
KIND = 2 * STD  # how strongly a token's kind is written into its embedding
FINAL_SCALE = 0.3  # of the last norm: how sure the first weights are

CODE = 38  # dimensions that tell a token from the others
SHORT_CODE = 16  # enough for the numbers of passages
FAST = 12  # of 32 pairs of dimensions, those that RoPE turns fast enough to tell near places apart
NEAREST = range(7, 13)  # pairs whose agreement falls with the distance over some hundred tokens
RECENT = range(3, 8)  # over some ten tokens
FLAT = 31  # the pair that RoPE turns least: what depends on no distance
SINK = 30

LOOK_BACK = 3.0
TOLD_PREDECESSOR = 0.26
NEAREST_KIND, NEAREST_DISTANCE = 6.0, 2.0
TOLD_NEAREST = 0.4
MATCH = 3.0  # entries of what is compared with the token before
SECOND = (0.35, 0.7)  # times `MATCH`: what is compared with the one before that, in each head
SECOND_OF_PASSAGE = 0.5
COPY = 1.0
FETCHED = 0.4
IN_PASSAGE, NOWHERE = 5.8, 5.0  # a word that stands in no passage attends to the first token
NOT_COPYING = 9.0
VOTERS, RESTING = 10.0, 6.5
VOTE = 60.0
LAST_COPIED = 8.0
CITE = 20.0

# Kinds of tokens, by their place among the directions of `kind`.
BEGINS_SENTENCE, OPENS_PASSAGE, ASSISTANT, ENDS_SENTENCE, USER, SYSTEM = range(6)
_SENTENCE_ENDS = (".", "!", "?")
_KINDS = {
    BEGINS_SENTENCE: (*_SENTENCE_ENDS, '">\n', "Ċ", "ĊĊ", "-", "<|user|>"),  # the next one does
    OPENS_PASSAGE: OPENERS,
    ASSISTANT: ("<|assistant|>",),
    ENDS_SENTENCE: _SENTENCE_ENDS,
    USER: ("<|user|>",),
    SYSTEM: ("<|system|>",),
}


@dataclass(frozen=True, slots=True)
class Directions:
    """Orthonormal rows, (dimensions, width) each, none of which reads the constant."""

    code: Any  # of the token itself
    first: Any  # the code of the one before it
    second: Any  # and of the one before that
    beginning: Any  # the code of the token that begins its sentence
    passage: Any  # the short code of the passage that it stands in
    fetched_beginning: Any
    fetched_passage: Any
    kind: Any
    first_kind: Any  # of the token before it
    in_passage: Any
    rest: Any

    @classmethod
    def drawn(cls, width: int, generator: Any) -> Directions:
        """At random."""
        import torch

        rows = torch.linalg.qr(torch.randn(width - 1, width - 1, generator=generator)).Q.T
        rows = torch.cat([torch.zeros(width - 1, 1), rows], dim=1)
        sizes = [CODE, CODE, CODE, CODE, SHORT_CODE, CODE, SHORT_CODE, len(_KINDS), len(_KINDS), 1]
        parts = torch.split(rows, [*sizes, width - 1 - sum(sizes)])
        return cls(**{field.name: part for field, part in zip(fields(cls), parts, strict=True)})


@dataclass(frozen=True, slots=True)
class _Head:
    """Views of a head's weights, emptied: queries, keys, values (64, width), output (width, 64)."""

    queries: Any
    keys: Any
    values: Any
    output: Any
    turns: Any  # (32,) by how much RoPE turns each pair of dimensions a token, in radians

    @classmethod
    def of(cls, model: Any, layer: int, number: int) -> _Head:
        """Head `number` of a layer, both counted from 0."""
        attention = model.model.layers[layer].self_attn
        rows = slice(number * model.config.head_dim, (number + 1) * model.config.head_dim)
        queries, keys, values = (
            each.weight[rows] for each in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        head = cls(
            queries, keys, values, attention.o_proj.weight[:, rows], model.model.rotary_emb.inv_freq
        )
        for view in (head.queries, head.keys, head.values, head.output):
            view.zero_()
        return head

    def at_distance(self, tokens: int, strength: float, pairs: Iterable[int]) -> None:
        """Attend to what stands so many tokens before.

        RoPE turns the pair of dimensions (f, f + 32) by `turns[f]` a token. A key that is turned by
        some tokens' angle beforehand agrees most with the query that stands so many tokens later.
        """
        import torch

        half = len(self.turns)
        for pair in pairs:
            self.queries[pair, CONSTANT] += strength
            self.keys[pair, CONSTANT] += strength * torch.cos(tokens * self.turns[pair])
            self.keys[pair + half, CONSTANT] += strength * torch.sin(tokens * self.turns[pair])

    def match(self, query: Any, key: Any, *, share: float = 1.0, shift: int = 0) -> None:
        """Attend to where one code agrees with the other; `shift` moves it to other dimensions."""
        import torch

        half, order = len(self.turns), torch.roll(torch.arange(CODE), shift)
        slow = [
            *range(half - 1 - CODE // 2, half - 1),
            *range(2 * half - 1 - CODE // 2, 2 * half - 1),
        ]
        self.queries[slow] += MATCH * share * query[order]
        self.keys[slow] += MATCH * share * key[order]

    def match_two(self, at: Directions, share: float) -> None:
        """Attend to the place whose predecessors are this token and the one before it."""
        self.match(at.code, at.first)
        self.match(at.first, at.second, share=share, shift=17)

    def prefer(self, query: Any, key: Any, strength: float, *, pair: int = FLAT) -> None:
        """Where the token reads the direction `query`, attend to those that read `key`."""
        self.queries[pair] += strength * query
        self.keys[pair] += strength * key

    def write(self, source: Any, target: Any, strength: float, *, start: int = 0) -> None:
        """Take what the attended token reads in `source`, (n, width); write it into `target`."""
        rows = slice(start, start + len(source))
        self.values[rows] = source
        self.output[:, rows] = strength * target.T


def write_circuits(model: Any, tokenizer: Any, *, seed: int) -> None:
    """Replace a fresh `LlamaForCausalLM`'s embeddings and heads of its first layers, in place."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        at = Directions.drawn(model.config.hidden_size, generator)
        constant = torch.eye(model.config.hidden_size)[CONSTANT]
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.model.norm.weight.fill_(FINAL_SCALE)
        _embed(model.model.embed_tokens.weight, tokenizer, at, generator)
        _tell_predecessors(model, at)
        _tell_nearest(model, at, constant)
        _copy(model, at)
        _fetch(model, at, constant)
        _vote_and_cite(model, at, constant)


def _embed(embeddings: Any, tokenizer: Any, at: Directions, generator: Any) -> None:
    """(vocabulary, width): a code, the token's kinds, and the constant; all of one length."""
    import torch

    own = torch.cat([at.code, at.rest])
    drawn = torch.randn(len(embeddings), len(own), generator=generator)
    parts = [
        each * (each.shape[1] ** 0.5 / each.norm(dim=1, keepdim=True))
        for each in (drawn[:, :CODE], drawn[:, CODE:])
    ]
    embeddings[:] = STD * torch.cat(parts, dim=1) @ own
    # The first token has no code: whatever attends to it takes nothing.
    embeddings[tokenizer.convert_tokens_to_ids("<|system|>")] = STD * at.rest.sum(0)
    for opener, marker in zip(OPENERS, MARKERS, strict=True):
        a, b = tokenizer.convert_tokens_to_ids([opener, marker])
        embeddings[b] += (embeddings[a] - embeddings[b]) @ at.code.T @ at.code
    for kind, tokens in _KINDS.items():
        for token in tokens:
            if (number := tokenizer.convert_tokens_to_ids(token)) is not None:
                embeddings[number] += KIND * at.kind[kind]
    embeddings[:, CONSTANT] = 0
    embeddings *= STD * len(own) ** 0.5 / embeddings.norm(dim=1, keepdim=True)
    embeddings[:, CONSTANT] = CONSTANT_VALUE


def _tell_predecessors(model: Any, at: Directions) -> None:
    for number, place in enumerate((at.first, at.second)):
        head = _Head.of(model, 0, number)
        head.at_distance(number + 1, LOOK_BACK, range(FAST))
        head.write(at.code, place, TOLD_PREDECESSOR)
        if place is at.first:
            head.write(at.kind, at.first_kind, TOLD_PREDECESSOR, start=CODE)


def _tell_nearest(model: Any, at: Directions, constant: Any) -> None:
    head = _Head.of(model, 1, 0)
    head.prefer(constant, at.first_kind[BEGINS_SENTENCE], NEAREST_KIND)
    head.at_distance(0, NEAREST_DISTANCE, NEAREST)
    head.write(at.code, at.beginning, TOLD_NEAREST)
    head = _Head.of(model, 1, 1)
    head.prefer(constant, at.kind[OPENS_PASSAGE] + at.kind[USER], NEAREST_KIND)
    head.at_distance(0, NEAREST_DISTANCE, NEAREST)
    head.write(at.code[:SHORT_CODE], at.passage, TOLD_NEAREST)
    opens = at.kind[OPENS_PASSAGE : OPENS_PASSAGE + 1]
    head.write(opens, at.in_passage, TOLD_NEAREST, start=SHORT_CODE)


def _copy(model: Any, at: Directions) -> None:
    import torch

    size = model.config.head_dim
    for number, said in enumerate((at.code, torch.cat([at.rest, at.code])[:size])):
        head = _Head.of(model, 2, number)
        head.match_two(at, SECOND[number])
        head.prefer(at.kind[ASSISTANT], at.kind[SYSTEM], NOT_COPYING)
        head.write(said, said, COPY)


def _fetch(model: Any, at: Directions, constant: Any) -> None:
    head = _Head.of(model, 2, 2)
    head.match(at.code, at.code)
    head.queries[FLAT] += IN_PASSAGE * constant
    head.keys[FLAT] += IN_PASSAGE * at.in_passage[0] + NOWHERE * at.kind[SYSTEM]
    head.write(at.beginning, at.fetched_beginning, FETCHED)
    head = _Head.of(model, 2, 3)
    head.match_two(at, SECOND_OF_PASSAGE)
    head.write(at.passage, at.fetched_passage, FETCHED)


def _vote_and_cite(model: Any, at: Directions, constant: Any) -> None:
    head = _Head.of(model, 3, 0)
    head.prefer(constant, at.kind[SYSTEM], RESTING, pair=SINK)
    head.queries[SINK] -= 3 * RESTING * at.kind[ASSISTANT]
    head.prefer(at.kind[ASSISTANT], -(at.in_passage[0] + at.kind[SYSTEM]), VOTERS)
    head.write(at.fetched_beginning, at.code, VOTE)
    head = _Head.of(model, 3, 1)
    head.prefer(constant, at.kind[SYSTEM], RESTING, pair=SINK)
    for pair in RECENT:
        head.prefer(at.kind[ENDS_SENTENCE], constant, LAST_COPIED, pair=pair)
    head.write(at.fetched_passage, at.code[:SHORT_CODE], CITE)
