"""What a caller can get wrong or find missing; `serving/http/errors.py` gives each its status."""

from __future__ import annotations


class ServingError(Exception):
    """Base of the errors that are a caller's to see. `code` is stable, for programs."""

    code = "server_error"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class InvalidRequestError(ServingError):
    """The request cannot be understood or is out of bounds."""

    code = "invalid_request"


class QuestionTooLongError(InvalidRequestError):
    """More text than a question may hold."""

    code = "context_length_exceeded"


class TooLargeError(InvalidRequestError):
    """The body is larger than this server takes."""

    code = "request_too_large"


class UnknownModelError(ServingError):
    """No such `model`."""

    code = "model_not_found"


class UnknownAdapterError(UnknownModelError):
    """No such adapter."""

    code = "adapter_not_found"


class NotAuthorizedError(ServingError):
    """The key is missing or wrong."""

    code = "invalid_api_key"


class NoLanguageModelError(ServingError):
    """The request needs a language model and none is configured."""

    code = "no_language_model"


class GeneratorError(ServingError):
    """The language model could not be loaded, reached or run."""

    code = "generator_unavailable"


class GeneratorBusyError(GeneratorError):
    """More answers are asked for than may wait for the language model."""

    code = "server_busy"


class SettingsError(Exception):
    """The settings cannot be used; lists every problem."""
