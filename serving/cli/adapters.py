"""`twofold adapters`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.cli.main import command_parser
from serving.cli.options import add_profile, console, print_json, quiet_libraries, settings_of

if TYPE_CHECKING:
    from finetune.adapters import AdapterRegistry
    from finetune.manifest import AdapterVersion

Reference = tuple[str, int | None]


def run(arguments: Sequence[str]) -> int:
    """List by default."""
    options = _parser().parse_args(arguments)
    from finetune.adapters import AdapterRegistry

    registry = AdapterRegistry(settings_of(options).home / "adapters")
    actions = {
        "list": _list,
        "show": _show,
        "import": _import,
        "promote": _promote,
        "retire": _retire,
        "merge": _merge,
        "remove": _remove,
    }
    actions[options.action or "list"](registry, options)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("adapters")
    add_profile(parser)
    parser.set_defaults(json=False)
    actions = parser.add_subparsers(dest="action", metavar="ACTION")

    def action(name: str, purpose: str) -> argparse.ArgumentParser:
        added = actions.add_parser(name, help=purpose, description=purpose)
        added.add_argument("--profile", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        return added

    listing = action("list", "list every version and its state (the default)")
    show = action("show", "print what is known about a version, and check its files")
    importing = action("import", "add a PEFT adapter that was trained elsewhere")
    promote = action("promote", "make a candidate live; the version that was live retires")
    retire = action("retire", "retire a live version")
    merge = action("merge", "write base + adapter as one model of 16-bit weights")
    remove = action("remove", "delete a version")
    for sub in (show, merge):
        sub.add_argument("adapter", type=_reference, metavar="NAME[@VERSION]", help="as listed")
    for sub in (promote, retire, remove):
        sub.add_argument("adapter", type=_exact, metavar="NAME@VERSION", help="as listed")
    for sub in (listing, show):
        sub.add_argument("--json", action="store_true", help="print the reply as JSON")
    importing.add_argument("folder", type=Path, metavar="DIR", help="what `save_pretrained` wrote")
    importing.add_argument("--name", required=True, help="a-z, 0-9 and -")
    importing.add_argument("--base", required=True, metavar="MODEL", help="what it was trained on")
    importing.add_argument(
        "--licence", required=True, metavar="TEXT", help="of the data it was trained on"
    )
    merge.add_argument("--to", required=True, type=Path, metavar="DIR", help="a new folder")
    merge.add_argument(
        "--base", metavar="MODEL", help="where the base's full weights are; default: as trained"
    )
    merge.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    remove.add_argument("--force", action="store_true", help="even though it is live")
    return parser


def _reference(word: str) -> Reference:
    """The type of an argument NAME or NAME@VERSION."""
    name, mark, number = word.partition("@")
    if mark and not (number.isascii() and number.isdecimal() and int(number) > 0):
        raise argparse.ArgumentTypeError(f"{word!r} is not NAME@VERSION, such as skylark@2")
    return name, int(number) if mark else None


def _exact(word: str) -> Reference:
    """The type of an argument NAME@VERSION: what changes a version names it."""
    name, number = _reference(word)
    if number is None:
        raise argparse.ArgumentTypeError(f"{word!r} names no version; write {word}@1, for one")
    return name, number


def _list(registry: AdapterRegistry, options: argparse.Namespace) -> None:
    versions = registry.versions()
    if options.json:
        print_json([_as_json(version) for version in versions])
    elif not versions:
        console().print(
            "No adapters yet. Train one with `twofold train --config FILE`, or add one with "
            "`twofold adapters import DIR`."
        )
    else:
        _print_table(versions)


def _print_table(versions: Sequence[AdapterVersion]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table("adapter", "state", "method", "base", "created", box=None, pad_edge=False)
    for version in versions:
        manifest = version.manifest
        table.add_row(
            version.label,
            version.state,
            manifest.method,
            escape(manifest.base_model),
            f"{manifest.created_at:%Y-%m-%d}",
        )
    out = console()
    out.print(table)
    out.print(f"[dim]{len(versions):,} version{'s' if len(versions) > 1 else ''}[/dim]")


def _show(registry: AdapterRegistry, options: argparse.Namespace) -> None:
    from finetune.adapter_checks import check_files

    version = registry.get(*options.adapter)
    check_files(version.directory, version.manifest)
    facts = _as_json(version)
    if options.json:
        print_json(facts)
        return
    out = console()
    for name, value in {**facts, "files": "whole, as the manifest says"}.items():
        line = f"{name.replace('_', ' '):<22} {_words(value)}"
        out.print(line, markup=False, soft_wrap=True)


def _as_json(version: AdapterVersion) -> dict[str, Any]:
    facts = version.manifest.model_dump(mode="json")
    return {**facts, "state": str(version.state), "directory": str(version.directory)}


def _words(value: object) -> str:
    """A dict's unset settings are left out, and figures rounded: `--json` has everything."""
    if value is None:
        return "unknown"
    if isinstance(value, dict):
        given = {name: item for name, item in value.items() if item is not None}
        return ", ".join(f"{name} {_words(item)}" for name, item in given.items()) or "none"
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() else f"{value:.4g}"
    return str(value)


def _import(registry: AdapterRegistry, options: argparse.Namespace) -> None:
    from finetune.base_identity import read_base
    from finetune.manifest import check_name

    check_name(options.name)
    base = read_base(options.base)
    added = registry.import_directory(
        options.folder, name=options.name, base=base, licence=options.licence
    )
    console().print(
        f"Added {added.label}, a candidate. `twofold adapters promote {added.label}` makes it live."
    )


def _promote(registry: AdapterRegistry, options: argparse.Namespace) -> None:
    from finetune.adapter_checks import check_files
    from finetune.manifest import State

    version = registry.get(*options.adapter)
    check_files(version.directory, version.manifest)
    former = [
        other.label
        for other in registry.versions()
        if other.name == version.name and other.state is State.LIVE
    ]
    live = registry.set_state(version.name, version.version, State.LIVE)
    console().print(f"{live.label} is live." + "".join(f" {name} is retired." for name in former))


def _retire(registry: AdapterRegistry, options: argparse.Namespace) -> None:
    from finetune.manifest import State

    name, number = options.adapter
    retired = registry.set_state(name, number, State.RETIRED)
    console().print(f"{retired.label} is retired; no version of {retired.name} is live.")


def _merge(registry: AdapterRegistry, options: argparse.Namespace) -> None:
    from finetune.merging import merge

    quiet_libraries()
    version = registry.get(*options.adapter)
    base = options.base or version.manifest.base_model
    merged = merge(version, options.to, base=base, dtype=options.dtype)
    found = merged.agreement
    console().print(
        f"{merged.directory} holds {version.label} merged into {base}, in {merged.dtype}.\n"
        f"Logits differ from base + adapter by {found.difference_mean:.3g} on average and "
        f"{found.difference_max:.3g} at most; the adapter changes them by "
        f"{found.effect_mean:.3g} on average.",
        markup=False,
    )


def _remove(registry: AdapterRegistry, options: argparse.Namespace) -> None:
    name, number = options.adapter
    registry.remove(name, number, force=options.force)
    console().print(f"Removed {name}@{number}; its number is not used again.")
