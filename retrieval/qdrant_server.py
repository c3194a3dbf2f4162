"""The way to a Qdrant server: its client, its version, and its errors as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qdrant_client import QdrantClient
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import (
    ApiException,
    ResponseHandlingException,
    UnexpectedResponse,
)

from retrieval.errors import StoreError

IN_MEMORY = ":memory:"
MIN_VERSION = (1, 19)  # the first whose IDF can be told which passages to count
TIMEOUT_S = 10


def connect(url: str, *, api_key: str | None = None) -> QdrantClient:
    """A client of the server at the url, or of qdrant-client's own engine for ":memory:".

    Sends nothing yet.
    """
    return QdrantClient(location=url, api_key=api_key, timeout=TIMEOUT_S, check_compatibility=False)


def url_of(client: QdrantClient) -> str:
    """What `connect` was given."""
    return str(client.init_options["location"])


def check_version(client: QdrantClient) -> str:
    """The server's version. Raises StoreError where it is too old."""
    version = client.info().version
    if tuple(int(part) for part in version.split(".")[:2]) < MIN_VERSION:
        wanted = ".".join(str(part) for part in MIN_VERSION)
        raise StoreError(
            f"the Qdrant server at {url_of(client)} is version {version}; Twofold needs {wanted} "
            "or newer, where BM25 can count the words of one tenant alone"
        )
    return version


@contextmanager
def mapped_errors(client: QdrantClient, done: str) -> Iterator[None]:
    """Raises the client's errors as StoreError: "the index cannot be {done}", why, what to do."""
    try:
        yield
    except (ApiException, QdrantException, ValueError, RuntimeError) as error:
        # ValueError and RuntimeError come from ":memory:", and from a version that is no number.
        message = f"the index cannot be {done}: {_reason(error, url_of(client))}"
        raise StoreError(message) from error


def _reason(error: Exception, url: str) -> str:
    if isinstance(error, ResponseHandlingException):
        return (
            f"the Qdrant server at {url} gives no usable answer ({error.source}); start it, or "
            "correct the setting qdrant_url"
        )
    status = error.status_code if isinstance(error, UnexpectedResponse) else None
    if status in (401, 403):
        return f"the Qdrant server at {url} refuses the key; correct the setting qdrant_api_key"
    if status == 404:
        return f"the Qdrant server at {url} has no such collection; a start of Twofold fills it"
    return f"{error} (the Qdrant server at {url})"
