"""The adapters that are in memory beside the base model, the least recently used leaving first."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.adapter_checks import check_files, check_fits
from finetune.errors import AdapterError
from finetune.lora_settings import read_config
from finetune.manifest import WEIGHTS_FILE, AdapterVersion, Base
from finetune.safetensors_header import read_header
from serving.errors import GeneratorError

if TYPE_CHECKING:
    import torch

BASE = "__base__"  # PEFT's name for "no adapter" in `adapter_names`
BYTES_A_WEIGHT = 4  # PEFT computes them in 32 bit
MIB = 2**20


class LoadedAdapters:
    """Works for one thread. `model` is the base as it was given, or in PEFT's wrapping.

    Adapters are known by their label, NAME@VERSION. Which one PEFT calls active never matters:
    every call names the adapter of each row.
    """

    def __init__(self, model: Any, *, base: Callable[[], Base], limit_mib: int) -> None:
        self.model = model
        self._wrapped = False
        self._base = base
        self._limit_mib = limit_mib
        self._bytes: dict[str, int] = {}  # the least recently used first
        self._prefixes: dict[str, torch.Tensor] = {}  # of prompt tuning: (virtual tokens, dim)

    @property
    def labels(self) -> Sequence[str]:
        """Of those in memory, the least recently used first."""
        return list(self._bytes)

    def must_wait(self, version: AdapterVersion, in_use: Collection[str]) -> bool:
        """Whether it fits only once one of those in use is not needed any more."""
        if version.label in self._bytes or not in_use:
            return False
        try:
            needed = _size(version)
        except (AdapterError, OSError):
            return False  # `use` says what is wrong
        held = sum(self._bytes[label] for label in set(in_use) & self._bytes.keys())
        return needed <= self._limit < held + needed

    def use(self, version: AdapterVersion, in_use: Collection[str] = ()) -> float | None:
        """Have it in memory; milliseconds that loading took, None where it was there.

        An older version of the same name leaves as soon as nothing uses it.

        Raises:
            GeneratorError: its files are not the manifest's, do not fit the base, or the memory
                that adapters may take.
        """
        if version.label in self._bytes:
            self._bytes[version.label] = self._bytes.pop(version.label)
            return None
        started = time.perf_counter()
        try:
            check_files(version.directory, version.manifest)
            check_fits(version, self._base())
            size = _size(version)
            self._make_room(version, size, in_use)
            self._load(version)
        except (AdapterError, OSError, ValueError, RuntimeError, ImportError) as error:
            raise GeneratorError(f"adapter {version.label!r} does not fit: {error}") from error
        self._bytes[version.label] = size
        return (time.perf_counter() - started) * 1000

    def prefix(self, label: str | None) -> torch.Tensor | None:
        """(virtual tokens, dim), what an adapter of prompt tuning puts before the prompt.

        None for LoRA and the base.
        """
        return None if label is None else self._prefixes.get(label)

    def embed(self, tokens: torch.Tensor) -> torch.Tensor:
        """The base's vectors of tokens, (rows, tokens) -> (rows, tokens, dim)."""
        layer = self.model.get_input_embeddings()
        vectors: torch.Tensor = getattr(layer, "base_layer", layer)(tokens)
        return vectors

    def forward(self, labels: Sequence[str | None], **inputs: Any) -> Any:
        """The model's output, each row with its own adapter; None is the base."""
        if self._wrapped:
            inputs["adapter_names"] = [
                label if label is not None and label not in self._prefixes else BASE
                for label in labels
            ]
        return self.model(**inputs)

    @property
    def _limit(self) -> int:
        return self._limit_mib * MIB

    def _make_room(self, version: AdapterVersion, size: int, in_use: Collection[str]) -> None:
        if size > self._limit:
            raise ValueError(
                f"it takes {size / MIB:.0f} MiB, and all adapters together may take "
                f"{self._limit_mib}; raise TWOFOLD_ADAPTERS_MIB"
            )
        free = [label for label in self._bytes if label not in in_use]
        free.sort(key=lambda label: label.rpartition("@")[0] != version.name)
        for label in free:
            stale = label.rpartition("@")[0] == version.name
            if stale or sum(self._bytes.values()) + size > self._limit:
                self._unload(label)

    def _load(self, version: AdapterVersion) -> None:
        config = read_config(version.directory)
        if config["peft_type"] == "PROMPT_TUNING":
            self._prefixes[version.label] = self._virtual_tokens(version.directory)
            return
        if config.get("use_dora"):
            raise ValueError("it is a DoRA adapter, which cannot share a batch; train a plain LoRA")
        from peft import PeftConfig, PeftModel

        directory = str(version.directory)
        if not self._wrapped:
            peft_config = PeftConfig.from_pretrained(directory)
            peft_config.inference_mode = True
            self.model = PeftModel(self.model, peft_config, adapter_name=version.label).eval()
            self._wrapped = True
        try:
            self.model.load_adapter(directory, adapter_name=version.label)
        except Exception:
            if version.label in self.model.peft_config:
                self._delete(version.label)
            raise

    def _virtual_tokens(self, directory: Path) -> torch.Tensor:
        from safetensors.torch import load_file

        weights = load_file(directory / WEIGHTS_FILE, device=str(self.model.device))
        prefix: torch.Tensor = weights["prompt_embeddings"]
        return prefix

    def _unload(self, label: str) -> None:
        del self._bytes[label]
        if self._prefixes.pop(label, None) is None:
            self._delete(label)

    def _delete(self, label: str) -> None:
        others = [other for other in self.model.peft_config if other != label]
        if not others:
            self.model, self._wrapped = self.model.unload(), False
            return
        if label in self.model.active_adapters:
            self.model.set_adapter(others[0])
        self.model.delete_adapter(label)


def _size(version: AdapterVersion) -> int:
    """Bytes that its weights take in memory."""
    tensors = read_header(version.directory / WEIGHTS_FILE)
    return BYTES_A_WEIGHT * sum(math.prod(tensor.shape) for tensor in tensors)
