"""What can go wrong in retrieval, one class for each remedy."""


class RetrievalError(Exception):
    """Base of every error that this package raises on purpose."""


class LoadingError(RetrievalError):
    """A file could not be turned into text; the message names it and says why."""


class StoreError(RetrievalError):
    """The index cannot be opened, read or written."""


class IndexMismatchError(StoreError):
    """The index was built with another embedder or another language than the one asked for."""


class EmbeddingError(RetrievalError):
    """The embedder could not be loaded or could not run."""


class IngestStoppedError(RetrievalError):
    """The system is closing; what was begun is finished at its next start."""


class DocumentNotFoundError(RetrievalError):
    """No document of that id is visible in the scope."""
