"""An Answer -> OpenAI's objects, plus the `twofold` object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from retrieval.documents import Document, ScoredPassage
from retrieval.ingest import Ingested, Outcome
from serving.answers import Answer, Citation
from serving.instructions_in_text import looks_like_instruction
from serving.wiring import Twofold


def completion(
    answer: Answer, *, head: dict[str, Any], base_url: str, twofold: Twofold
) -> dict[str, Any]:
    """A whole chat completion; `head` holds id, created and model."""
    message = {
        "role": "assistant",
        "content": answer.text,
        "refusal": None,
        "annotations": url_citations(answer, base_url),
    }
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": finish_reason(answer),
        "logprobs": None,
    }
    return {
        **head,
        "object": "chat.completion",
        "choices": [choice],
        "usage": usage(answer),
        "twofold": details(answer, base_url, twofold),
    }


def chunk(
    head: dict[str, Any], delta: dict[str, Any], *, finish_reason: str | None = None
) -> dict[str, Any]:
    """One piece of a streamed completion."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
    return {**head, "object": "chat.completion.chunk", "choices": [choice]}


def finish_reason(answer: Answer) -> str:
    """OpenAI's word for why the text ended."""
    return "length" if answer.truncated else "stop"


def usage(answer: Answer) -> dict[str, int]:
    """Tokens of prompt and answer."""
    counted = answer.usage
    return {
        "prompt_tokens": counted.prompt_tokens,
        "completion_tokens": counted.completion_tokens,
        "total_tokens": counted.prompt_tokens + counted.completion_tokens,
    }


def url_citations(answer: Answer, base_url: str) -> list[dict[str, Any]]:
    """OpenAI's `url_citation`, one a marker."""
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "start_index": citation.marker_start,
                "end_index": citation.marker_end,
                "title": citation.hit.passage.title,
                "url": _url(citation, base_url),
            },
        }
        for citation in answer.citations
    ]


def details(answer: Answer, base_url: str, twofold: Twofold) -> dict[str, Any]:
    """The `twofold` object: how the answer came about."""
    routing = answer.routing
    return {
        "route": routing.route,
        "intent": routing.intent,
        "score": routing.score,
        "outcome": answer.outcome,
        "answerability": answer.answerability,
        "query": answer.query,
        "stage": answer.stage,
        "grounded": answer.grounded,
        "rerouted": answer.rerouted,
        "unsupported": answer.unsupported,
        "dropped_passages": answer.dropped_passages,
        "extractive": answer.extractive,
        "adapter": answer.adapter,
        "citations": [_citation(citation, base_url) for citation in answer.citations],
        "passages": [passage(hit) for hit in answer.passages],
        "degraded": list(answer.degraded),
        "models": {
            "embedder": twofold.embedder.name,
            "unit_embedder": twofold.assistant.evidence.name,
            "reranker": twofold.reranker.name if twofold.reranker else None,
            "generator": answer.generator or twofold.assistant.writer.generator.name,
        },
        "timings_ms": {name: round(ms, 2) for name, ms in answer.timings_ms.items()},
    }


def model(name: str) -> dict[str, Any]:
    """OpenAI's model object."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "twofold"}


def passage(hit: ScoredPassage) -> dict[str, Any]:
    """A found passage with its scores and ranks; `flagged` if it speaks to a language model."""
    return {
        "passage_id": hit.passage.id,
        "document_id": hit.passage.document_id,
        "generation": hit.passage.generation,
        "title": hit.passage.title,
        "heading_path": list(hit.passage.heading_path),
        "source": hit.source,
        "collection": hit.collection,
        "text": hit.passage.text,
        "flagged": looks_like_instruction(hit.passage.text),
        "start": hit.passage.start,
        "end": hit.passage.end,
        "score": hit.score,
        "fused_score": hit.fused_score,
        "dense_rank": hit.dense_rank,
        "dense_score": hit.dense_score,
        "bm25_rank": hit.bm25_rank,
        "bm25_score": hit.bm25_score,
        "rerank_score": hit.rerank_score,
    }


def ingested(results: Sequence[Ingested], *, passages: Mapping[str, int]) -> dict[str, Any]:
    """What became of each file: counts, the documents, and why those failed that did."""
    counts = Counter(done.outcome for done in results)
    return {
        "object": "ingest_result",
        **{each.value: counts[each] for each in Outcome if each is not Outcome.FAILED},
        "failed": [
            {
                "source": done.file.source,
                "reason": str(done.error),
                "still_answers": done.document is not None,
            }
            for done in results
            if done.error is not None
        ],
        "documents": [
            document(done.document, passages=passages.get(done.document.id, 0))
            for done in results
            if done.error is None and done.document is not None
        ],
    }


def document(item: Document, *, passages: int) -> dict[str, Any]:
    """A document without its text, and without the path of its file."""
    return {
        "id": item.id,
        "object": "document",
        "title": item.title,
        "source": item.source,
        "collection": item.collection,
        "groups": list(item.groups),
        "sha256": item.sha256,
        "generation": item.generation,
        "updated_at": item.updated_at.isoformat(),
        "passages": passages,
        "characters": len(item.text),
    }


def _citation(citation: Citation, base_url: str) -> dict[str, Any]:
    hit = citation.hit
    return {
        "marker": citation.marker,
        "document_id": hit.passage.document_id,
        "passage_id": hit.passage.id,
        "title": hit.passage.title,
        "source": hit.source,
        "collection": hit.collection,
        "heading_path": list(hit.passage.heading_path),
        "quote": citation.quote,
        "start": citation.start,
        "end": citation.end,
        "url": _url(citation, base_url),
    }


def _url(citation: Citation, base_url: str) -> str:
    found = citation.hit.passage
    return f"{base_url}/v1/documents/{found.document_id}?passage={found.id}"
