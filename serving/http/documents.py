"""GET, POST, PUT and DELETE /v1/documents, and POST /v1/search."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool

from retrieval.documents import EVERYONE, Document, Scope
from retrieval.errors import LoadingError
from retrieval.ingest import DEFAULT_COLLECTION, Ingested, Outcome, SourceFile
from serving.admission import Caller
from serving.assistant import has_surrogates
from serving.errors import InvalidRequestError
from serving.http import replies
from serving.http.bodies import SearchBody
from serving.http.page import PAGE
from serving.http.state import caller, state

router = APIRouter()


@router.get("/v1/documents")
def list_documents(request: Request, collection: str | None = None) -> dict[str, Any]:
    """The documents that the caller may see; the operator sees the path of each file too."""
    scope = _scope(caller(request), [collection] if collection else [])
    catalogue = state(request).twofold.catalogue
    counts = catalogue.passage_counts()
    data = [
        {
            **replies.document(item, passages=counts.get(item.id, 0)),
            **({"origin": item.origin} if scope.groups is None else {}),
        }
        for item in catalogue.live(scope)
    ]
    return {"object": "list", "data": data}


@router.get("/v1/documents/{document_id}")
def get_document(document_id: str, request: Request, passage: str | None = None) -> Any:
    """One document with its text; a browser that follows a citation gets the page instead."""
    if "text/html" in request.headers.get("accept", ""):
        return FileResponse(PAGE / "index.html", headers={"Vary": "Accept"})
    twofold = state(request).twofold
    found = twofold.catalogue.get(document_id, _scope(caller(request)))
    count = twofold.catalogue.passage_counts().get(document_id, 0)
    reply = {**replies.document(found, passages=count), "text": found.text}
    if passage is not None:
        reply["passage"] = _passage(request, found, passage)
    return reply


@router.post("/v1/documents")
async def add_documents(
    request: Request,
    file: Annotated[list[UploadFile], File()],
    collection: Annotated[list[str] | None, Form()] = None,
    source: Annotated[list[str] | None, Form()] = None,
    origin: Annotated[list[str] | None, Form()] = None,
    groups: Annotated[str, Form()] = EVERYONE,
) -> dict[str, Any]:
    """Add files, or replace those whose source is known; unreadable ones are named, not fatal.

    `source` and `origin` (the path of the file, for those that sync a folder) are given for each
    file or for none, `collection` for each or once for all.
    """
    who = caller(request)
    if collection is not None and len(collection) == 1:
        collection *= len(file)
    for param, given in (("collection", collection), ("source", source), ("origin", origin)):
        if given is not None and len(given) != len(file):
            raise InvalidRequestError(
                f"{len(file)} files came with {len(given)} of {param}; give one each, or none",
                param=param,
            )
    none = [""] * len(file)
    names = source or [upload.filename or "" for upload in file]
    files = [
        SourceFile(
            source=_checked_source(name),
            content=await upload.read(),
            collection=where.strip() or DEFAULT_COLLECTION,
            tenant=who.tenant,
            groups=tuple(g.strip() for g in groups.split(",") if g.strip()) or (EVERYONE,),
            origin=path,
        )
        for upload, name, where, path in zip(
            file, names, collection or none, origin or none, strict=True
        )
    ]
    return await run_in_threadpool(_put_all, request, files, who)


@router.put("/v1/documents/{document_id}")
async def replace_document(
    document_id: str, request: Request, file: Annotated[UploadFile, File()]
) -> dict[str, Any]:
    """Give a document new content; id, collection, source and groups stay."""
    who = caller(request)
    known = state(request).twofold.catalogue.get(document_id, _scope(who))
    content = await file.read()
    named = PurePosixPath(file.filename or known.source)
    if named.suffix.lower() != PurePosixPath(known.source).suffix.lower():
        raise InvalidRequestError(
            f"{known.source!r} cannot become a {named.suffix!r} file; delete it and add the new "
            "one, or send the same type",
            param="file",
        )
    replacement = SourceFile(known.source, content, known.collection, known.tenant, known.groups)
    result = await run_in_threadpool(_put_all, request, [replacement], who)
    if result["failed"]:
        raise LoadingError(result["failed"][0]["reason"])
    return result


@router.delete("/v1/documents/{document_id}")
def delete_document(document_id: str, request: Request) -> dict[str, Any]:
    """Remove a document; it stops answering at once."""
    state(request).twofold.ingestor.delete(document_id, _scope(caller(request)))
    return {"id": document_id, "object": "document.deleted", "deleted": True}


@router.post("/v1/search")
def search(body: SearchBody, request: Request) -> dict[str, Any]:
    """Passages for a query, without an answer."""
    if has_surrogates(body.query):
        raise InvalidRequestError("the query is no Unicode text; send UTF-8", param="query")
    if not body.query.strip():
        raise InvalidRequestError("the query is empty; write something to find", param="query")
    scope = _scope(caller(request), body.collections)
    found = state(request).twofold.retriever.search(body.query, body.k, scope)
    return {
        "object": "list",
        "data": [replies.passage(hit) for hit in found.passages],
        "degraded": list(found.degraded),
        "timings_ms": {name: round(ms, 2) for name, ms in found.timings_ms.items()},
    }


def _put_all(request: Request, files: list[SourceFile], who: Caller) -> dict[str, Any]:
    twofold = state(request).twofold
    known = twofold.catalogue.find([file.document_id for file in files])
    results, allowed = [], []
    for file in files:
        before = known.get(file.document_id)
        if before is None or _scope(who).shares_group(before.groups):
            allowed.append(file)
            continue
        reason = f"{file.source!r} belongs to groups that this key is not in; name it otherwise"
        results.append(Ingested(file, Outcome.FAILED, None, LoadingError(reason)))
    results += twofold.ingestor.put_all(allowed)
    ids = [done.document.id for done in results if done.document is not None]
    return replies.ingested(results, passages=twofold.catalogue.passage_counts(ids))


def _passage(request: Request, document: Document, passage_id: str) -> dict[str, Any] | None:
    for passage in state(request).twofold.ingestor.passages(document):
        if passage.id == passage_id:
            return {
                "passage_id": passage.id,
                "heading_path": list(passage.heading_path),
                "text": passage.text,
                "start": passage.start,
                "end": passage.end,
            }
    return None  # of an earlier generation: the document is shown, nothing is marked


def _checked_source(name: str) -> str:
    source = PurePosixPath(name.replace("\\", "/"))
    if not source.name or source.is_absolute() or ".." in source.parts:
        raise InvalidRequestError(
            f"{name!r} is no source; give a file name or a relative path", param="source"
        )
    return source.as_posix()


def _scope(who: Caller, collections: list[str] | None = None) -> Scope:
    return Scope(who.tenant, who.groups, tuple(collections or ()))
