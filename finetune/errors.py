"""What can go wrong between examples and an adapter; each message says what to do next."""


class FinetuneError(Exception):
    """Base of this room's errors."""


class ExamplesError(FinetuneError):
    """The examples cannot be read or cannot be trained on; lists every bad row."""


class ConfigurationError(FinetuneError):
    """A training configuration is wrong; lists every problem."""


class TrainingError(FinetuneError):
    """A training run could not start or go on; what it had written before is whole."""


class AdapterError(FinetuneError):
    """An adapter is missing, damaged, or does not fit what it is asked to run with."""


class DamagedAdapterError(AdapterError):
    """The files are not what the manifest says, or nothing that may be loaded."""


class IncompatibleAdapterError(AdapterError):
    """The adapter belongs to another base; lists everything that differs."""


class MissingAdapterError(AdapterError):
    """There is no such adapter, or no such version of it."""


class AdapterStateError(AdapterError):
    """The version's state forbids what was asked."""
