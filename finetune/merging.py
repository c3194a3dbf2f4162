"""An adapter and its base -> one model of 16-bit weights that runs without PEFT."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from finetune.adapter_checks import check_files, check_fits
from finetune.base_identity import first_line, read_base
from finetune.configuration import Method
from finetune.durable_files import sync
from finetune.errors import AdapterError
from finetune.manifest import AdapterVersion, Base

MERGE_FILE = "merge.json"
# Largest difference of a logit, as a share of the largest logit. bfloat16 keeps 8 bits of each
# number, and the rounding of some dozens of layers adds up; in float32 next to nothing is lost.
TOLERANCES = {"bfloat16": 0.05, "float32": 1e-4}
LARGEST_SHARE_OF_EFFECT = 1 / 3  # of what the adapter changes, that merging may change again
PROMPTS = (
    "May I take a second suitcase?",
    "Write two sentences to a customer whose parcel is late.",
    "Hello! Who are you, and what can you do for me?",
)


class MergeError(AdapterError):
    """The merged model would not be the base with its adapter; nothing was written."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How near the merged model comes to base + adapter, over every token of fixed prompts.

    All are of logits. `effect_mean` is what the adapter changes at all, `difference_mean` what
    merging changed on top, both as mean absolute differences.
    """

    largest_logit: float
    difference_max: float
    difference_mean: float
    effect_mean: float
    same_choice_rate: float  # share of tokens after which both rank one first, near ties aside


@dataclass(frozen=True, slots=True)
class Merged:
    """A merged model on disk."""

    directory: Path
    dtype: str
    agreement: Agreement


def merge(version: AdapterVersion, target: Path, *, base: str, dtype: str = "bfloat16") -> Merged:
    """Add the adapter to the base's full weights, and save the result as a model of its own.

    Merging happens in 16 bit (or 32), never in 4: rounding the sum to 4 bits loses much of what
    was trained. An adapter trained by QLoRA learned beside NF4 weights, so the merged model,
    which has the unrounded ones, answers slightly differently from NF4 base + adapter. It is
    held here against base + adapter at the same precision.

    Raises:
        MergeError: it cannot be merged, or the merged model is not base + adapter.
        AdapterError: the adapter is damaged, does not fit, or the target cannot be written.
    """
    identity = _checked_base(version, target, base=base, dtype=dtype)
    model, tokenizer, agreement = _merged_model(version, base, dtype)
    _check(version, agreement, dtype)
    merged = Merged(target, dtype, agreement)
    with _appearing(target) as scratch:
        model.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
        _write_records(scratch, version, identity, merged)
    return merged


def _checked_base(version: AdapterVersion, target: Path, *, base: str, dtype: str) -> Base:
    """Refuses what can be refused before weights are loaded."""
    trained_on = version.manifest.base_model
    if dtype not in TOLERANCES:
        raise MergeError(
            f"cannot merge into {dtype!r}: merge in {' or '.join(TOLERANCES)}, and quantise the "
            "merged model when it is loaded"
        )
    if version.manifest.method is Method.PROMPT_TUNING:
        raise MergeError(
            f"{version.label} is prompt tuning: it adds tokens, not weights; serve it as an adapter"
        )
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise MergeError(f"{target} exists; give a new folder")
    check_files(version.directory, version.manifest)
    identity = read_base(base)
    if identity.quantized:
        raise MergeError(
            f"the base {base!r} holds quantised weights, and merging into them would lose what was "
            f"trained; give the full weights of {trained_on!r} with --base"
        )
    check_fits(version, identity)
    return identity


def _merged_model(version: AdapterVersion, base: str, dtype: str) -> tuple[Any, Any, Agreement]:
    """The merged model, its tokenizer, and how it compares with base + adapter."""
    try:
        import torch
        from peft import PeftModel
        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer: Any = AutoTokenizer.from_pretrained(base)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            base, use_safetensors=True, dtype=getattr(torch, dtype)
        )
        prompts = [_token_ids(tokenizer, prompt) for prompt in PROMPTS]
        adapted = PeftModel.from_pretrained(loaded.eval(), str(version.directory)).eval()
        with adapted.disable_adapter():
            before = _logits(adapted, prompts)
        expected = _logits(adapted, prompts)
        model: Any = adapted.merge_and_unload(safe_merge=True).to(getattr(torch, dtype))
        merged = _logits(model, prompts)
        agreement = _agreement(before, expected, merged, tolerance=TOLERANCES[dtype])
    except Exception as error:  # hub, safetensors, PEFT and torch raise what they like
        raise MergeError(
            f"cannot merge {version.label} into {base!r}: {first_line(error)} Nothing was written"
        ) from error
    return model, tokenizer, agreement


def _token_ids(tokenizer: Any, prompt: str) -> Any:
    """(1, tokens), through the chat template where there is one."""
    if not tokenizer.chat_template:
        return tokenizer(prompt, return_tensors="pt")["input_ids"]
    messages = [{"role": "user", "content": prompt}]
    encoded = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    return encoded["input_ids"]


def _logits(model: Any, prompts: list[Any]) -> Any:
    """Those after each token of every prompt, one below the other: (tokens, vocabulary)."""
    import torch

    with torch.inference_mode():
        return torch.cat([model(input_ids=prompt).logits[0].float() for prompt in prompts])


def _agreement(before: Any, expected: Any, actual: Any, *, tolerance: float) -> Agreement:
    """All three logits are (tokens, vocabulary)."""
    difference = (actual - expected).abs()
    largest = expected.abs().max()
    chosen = actual.argmax(dim=-1, keepdim=True)  # (tokens, 1)
    behind = expected.max(dim=-1).values - expected.gather(-1, chosen)[:, 0]  # (tokens,)
    return Agreement(
        largest_logit=float(largest),
        difference_max=float(difference.max()),
        difference_mean=float(difference.mean()),
        effect_mean=float((expected - before).abs().mean()),
        same_choice_rate=float((behind <= tolerance * largest).float().mean()),
    )


def _check(version: AdapterVersion, found: Agreement, dtype: str) -> None:
    """Raises MergeError; written so that a NaN fails."""
    if found.effect_mean == 0:
        raise MergeError(
            f"{version.label} changes nothing that the base says: it was saved untrained; train it "
            "again"
        )
    limit = TOLERANCES[dtype] * found.largest_logit
    if not (found.difference_max <= limit and found.same_choice_rate == 1):
        raise MergeError(
            f"merged, {version.label} does not answer as its base with the adapter does: logits "
            f"differ by up to {found.difference_max:.3g}, at most {limit:.3g} is allowed, and "
            f"{found.same_choice_rate:.0%} of the next tokens agree; nothing was written. Serve it "
            "as an adapter" + _wider(dtype)
        )
    if not found.difference_mean <= LARGEST_SHARE_OF_EFFECT * found.effect_mean:
        raise MergeError(
            f"rounding to {dtype} loses what {version.label} has learned: merging changes logits "
            f"by {found.difference_mean:.3g} on average, the adapter itself by "
            f"{found.effect_mean:.3g}; nothing was written. Serve it as an adapter" + _wider(dtype)
        )


def _wider(dtype: str) -> str:
    return "" if dtype == "float32" else ", or merge in float32"


@contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    """A folder that becomes the target once it is complete and on the disk; else it goes."""
    scratch: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        yield scratch
        for file in scratch.iterdir():
            sync(file)
        sync(scratch)
        scratch.chmod(0o755)  # mkdtemp's folders are private
        scratch.rename(target)  # an empty folder gives way
        sync(target.parent)
    except AdapterError:
        raise
    except Exception as error:  # safetensors and tokenizers have their own for a full disk
        raise MergeError(
            f"cannot write the merged model to {target}: {first_line(error)} Nothing was left "
            "there: make room, or give another folder"
        ) from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)


def _write_records(folder: Path, version: AdapterVersion, base: Base, merged: Merged) -> None:
    """`merge.json` for programs and README.md for people: what was merged, and how well."""
    record = {
        "format_version": 1,
        "adapter": version.manifest.model_dump(mode="json"),
        "base": {
            "name": base.name,
            "revision": base.revision,
            "weights_sha256": base.weights_sha256,
        },
        "dtype": merged.dtype,
        "agreement": asdict(merged.agreement),
        "created_at": datetime.now(UTC).isoformat(),
    }
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    (folder / MERGE_FILE).write_text(text, encoding="utf-8")
    (folder / "README.md").write_text(_readme(version, base, merged), encoding="utf-8")


def _readme(version: AdapterVersion, base: Base, merged: Merged) -> str:
    revision = f" at {base.revision}" if base.revision else ""
    found = merged.agreement
    return (
        f"# {version.name}, version {version.version}, merged\n\n"
        f"The base model {base.name}{revision} with the adapter {version.label} added to its "
        f"weights, in {merged.dtype}. The adapter was trained by {version.manifest.method} on data "
        f"under this licence: {version.manifest.data_licence}.\n\n"
        f"Held against base + adapter on {len(PROMPTS)} prompts: logits differ by "
        f"{found.difference_mean:.3g} on average and {found.difference_max:.3g} at most, where the "
        f"adapter itself changes them by {found.effect_mean:.3g} on average.\n\n"
        f"`{MERGE_FILE}` has the adapter's manifest and every figure.\n"
    )
