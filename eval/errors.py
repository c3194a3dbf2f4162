"""What can go wrong before anything is measured."""


class EvaluationError(Exception):
    """What was asked for cannot be measured; the message says why and what to do."""


class DatasetError(EvaluationError):
    """A set cannot be read; the message names the file and the line."""


def needs_extra(error: ImportError) -> EvaluationError:
    """What to say when a package of the extra `evaluate` is missing."""
    return EvaluationError(f"{error}; measuring retrieval needs: pip install 'twofold[evaluate]'")
