"""`twofold ingest --sync`: the documents follow the files, and nothing else is touched."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.cli.local_files import Root
from serving.cli.server_process import Address
from tests.serving.test_assistant import SwitchableEmbedder
from tests.serving.test_cli import BINARY, run, served

FILES = {
    "top.md": "# Top\n\nThe shop sells socks.\n",
    "rules/bags.md": "# Bags\n\nA suitcase costs 60 euros.\n\n## Weight\n\nIt weighs 23 kg.\n",
    "rules/pets.md": "# Pets\n\nA cat travels in the cabin.\n",
    "news/fares.md": "# Fares\n\nFares rise in May.\n",
}


def write(folder: Path, files: Mapping[str, str | bytes | None]) -> None:
    """Write, or remove where the content is None."""
    for name, content in files.items():
        path = folder / name
        if content is None:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    write(tmp_path / "docs", FILES)
    return tmp_path / "docs"


@pytest.fixture
def embedder() -> SwitchableEmbedder:
    return SwitchableEmbedder()


@pytest.fixture
def home(tmp_path: Path, embedder: SwitchableEmbedder) -> Iterator[Path]:
    """With a server, through which commands are quicker; the last test does without."""
    with served(tmp_path / "home", embedder):
        yield tmp_path / "home"


def sync(path: Path, home: Path, *words: str) -> dict[str, Any]:
    ran = run("ingest", str(path), "--sync", "--json", *words, home=home)
    assert ran.status == 0, ran.out + ran.err
    result: dict[str, Any] = ran.json
    return result


def counts(result: Mapping[str, Any]) -> dict[str, int]:
    """Those that are not 0; `failed` as a number."""
    numbers = {name: len(it) if name == "failed" else it for name, it in result.items()}
    return {name: it for name, it in numbers.items() if isinstance(it, int) and it}


def listed(home: Path) -> dict[tuple[str, str], dict[str, Any]]:
    data = run("documents", "--json", home=home).json["data"]
    return {(item["collection"], item["source"]): item for item in data}


def sources(home: Path) -> set[str]:
    return {source for _, source in listed(home)}


def test_sync_adds_and_then_finds_everything_unchanged(docs: Path, home: Path) -> None:
    assert counts(sync(docs, home)) == {"added": 4}
    assert counts(sync(docs, home)) == {"unchanged": 4}


def test_sync_follows_every_kind_of_change(docs: Path, home: Path) -> None:
    sync(docs, home)
    before = listed(home)
    write(
        docs,
        {
            "top.md": None,
            "rules/bags.md": FILES["rules/bags.md"].replace("60", "70"),
            "rules/pets.md": None,
            "rules/animals.md": FILES["rules/pets.md"],
            "rules/new.md": "# New\n\nA new rule.\n",
        },
    )
    result = sync(docs, home)
    after = listed(home)

    assert counts(result) == {
        "added": 1,
        "updated": 1,
        "renamed": 1,
        "removed": 1,
        "unchanged": 1,
    }
    assert result["renamed_sources"] == {"rules/animals.md": "rules/pets.md"}
    assert result["removed_sources"] == ["top.md"]
    assert {source for _, source in after} == {
        "rules/bags.md",
        "rules/animals.md",
        "rules/new.md",
        "news/fares.md",
    }
    bags = ("rules", "rules/bags.md")
    assert after[bags]["id"] == before[bags]["id"]
    assert after["rules", "rules/animals.md"]["id"] != before["rules", "rules/pets.md"]["id"]
    assert counts(sync(docs, home)) == {"unchanged": 4}


def test_sync_ends_in_what_a_fresh_ingest_gives(docs: Path, home: Path, tmp_path: Path) -> None:
    sync(docs, home)
    write(docs, {"rules/pets.md": None, "rules/animals.md": FILES["rules/pets.md"], "top.md": "T"})
    sync(docs, home)
    fresh = tmp_path / "fresh"
    run("ingest", str(docs), home=fresh)

    def comparable(home: Path) -> list[dict[str, Any]]:
        apart = ("generation", "updated_at")
        return [
            {name: value for name, value in item.items() if name not in apart}
            for item in listed(home).values()
        ]

    assert comparable(home) == comparable(fresh)


def test_sync_embeds_only_what_is_new(docs: Path, home: Path, embedder: SwitchableEmbedder) -> None:
    sync(docs, home)
    before = embedder.embedded
    write(
        docs,
        {
            "rules/pets.md": None,
            "rules/animals.md": FILES["rules/pets.md"],  # renamed
            "news/fares.md": None,
            "old/fares.md": FILES["news/fares.md"],  # moved to another collection
            "rules/bags.md": FILES["rules/bags.md"].replace("23", "25"),  # one passage of two
        },
    )
    result = sync(docs, home)

    assert counts(result) == {"added": 1, "updated": 1, "renamed": 1, "removed": 1, "unchanged": 1}
    assert embedder.embedded == before + 1


def test_sync_after_a_plain_ingest_removes_what_is_gone(docs: Path, home: Path) -> None:
    run("ingest", str(docs), home=home)
    write(docs, {"top.md": None})

    assert counts(sync(docs, home)) == {"unchanged": 3, "removed": 1}


def test_plain_ingest_removes_nothing(docs: Path, home: Path) -> None:
    run("ingest", str(docs), home=home)
    write(docs, {"top.md": None})
    ran = run("ingest", str(docs), home=home)

    assert ran.out == "0 added, 0 updated, 3 unchanged, 0 failed\n"
    assert "top.md" in sources(home)


def test_folder_that_is_gone_takes_its_collection_along(docs: Path, home: Path) -> None:
    sync(docs, home)
    shutil.rmtree(docs / "rules")

    assert counts(sync(docs, home)) == {"unchanged": 2, "removed": 2}
    assert sources(home) == {"top.md", "news/fares.md"}


def test_documents_from_elsewhere_stay(docs: Path, home: Path, tmp_path: Path) -> None:
    """Of another path in the same collection, of the same path in another, of an upload."""
    other = tmp_path / "docs-other"
    write(other, {"other.md": "# Other\n\nOther.\n"})
    run("ingest", str(other), "--collection", "c", home=home)
    run("ingest", str(docs), "--collection", "d", home=home)
    sync(docs, home, "--collection", "c")
    address = Address.read(home)
    assert address is not None
    httpx.post(
        f"{address.url}/v1/documents",
        headers={"Authorization": f"Bearer {address.token}"},
        data={"collection": "c"},
        files={"file": ("upload.md", b"# Upload\n\nUploaded.\n")},
    ).raise_for_status()
    write(docs, {"top.md": None})

    assert counts(sync(docs, home, "--collection", "c")) == {"unchanged": 3, "removed": 1}
    assert {key for key in listed(home) if key[1] in ("top.md", "other.md", "upload.md")} == {
        ("d", "top.md"),
        ("c", "other.md"),
        ("c", "upload.md"),
    }


def test_sync_of_a_folder_inside_looks_below_it_alone(docs: Path, home: Path) -> None:
    sync(docs, home, "--collection", "c")
    write(docs, {"top.md": None, "rules/pets.md": None})

    assert counts(sync(docs / "rules", home, "--collection", "c")) == {"added": 1, "removed": 1}
    assert sources(home) == {"top.md", "rules/bags.md", "bags.md", "news/fares.md"}


def test_file_that_breaks_keeps_its_last_good_content(docs: Path, home: Path) -> None:
    sync(docs, home)
    write(docs, {"rules/bags.md": BINARY, "rules/pets.md": None, "rules/bad.pdf": BINARY})
    ran = run("ingest", str(docs), "--sync", home=home)
    result = sync(docs, home)
    found = run("search", "suitcase", "--json", home=home).json["data"]

    assert ran.out.startswith("0 added, 0 updated, 2 unchanged, 0 renamed, 1 removed, 2 failed\n")
    assert "its last good content goes on answering" in ran.out
    assert {item["source"]: item["still_answers"] for item in result["failed"]} == {
        "rules/bags.md": True,
        "rules/bad.pdf": False,
    }
    assert "60 euros" in found[0]["text"]


def test_link_that_leads_nowhere_is_no_removed_file(docs: Path, home: Path) -> None:
    sync(docs, home)
    (docs / "top.md").unlink()
    (docs / "top.md").symlink_to(docs / "unmounted" / "top.md")
    result = sync(docs, home)

    assert counts(result) == {"unchanged": 3, "failed": 1}
    assert result["failed"][0]["still_answers"] is True
    assert "top.md" in sources(home)


def test_folder_that_cannot_be_read_is_no_empty_one(docs: Path) -> None:
    (docs / "rules").chmod(0)
    docs.chmod(0o755)
    for parent in docs.parents[:4]:
        parent.chmod(0o755)
    as_root = os.geteuid() == 0
    if as_root:
        try:
            os.seteuid(65534)
        except OSError:
            pytest.skip("there is no other user here whom a folder could be closed to")
    try:
        found = list(Root(docs).files())
    finally:
        if as_root:
            os.seteuid(0)
        (docs / "rules").chmod(0o755)

    assert [file.source for file in found] == ["news/fares.md", "rules", "top.md"]
    assert found[1].sha256() is None


def test_renamed_file_that_cannot_be_read_keeps_the_old_name(docs: Path, home: Path) -> None:
    sync(docs, home)
    write(docs, {"rules/pets.md": None, "rules/pets.exe": FILES["rules/pets.md"]})
    result = sync(docs, home)

    assert counts(result) == {"unchanged": 3, "failed": 1}
    assert "rules/pets.md" in sources(home)


@pytest.mark.parametrize("gone", [True, False])
def test_empty_or_missing_folder_is_refused_before_anything_is_done(
    docs: Path, home: Path, gone: bool
) -> None:
    sync(docs, home)
    shutil.rmtree(docs)
    if not gone:
        (docs / "rules").mkdir(parents=True)
        (docs / ".hidden.md").write_text("Hidden.")
    write(docs.parent / "more", {"a.md": "More."})
    ran = run("ingest", str(docs.parent / "more"), str(docs), "--sync", home=home)

    assert ran.status == 1
    assert ran.out == ""
    assert "--allow-empty" in ran.err
    assert str(docs) in ran.err
    assert sources(home) == set(FILES)
    assert counts(sync(docs, home, "--allow-empty")) == {"removed": 4}
    assert sources(home) == set()


def test_allow_empty_without_sync_is_wrong_usage(docs: Path, home: Path) -> None:
    assert run("ingest", str(docs), "--allow-empty", home=home).status == 2


def test_two_files_for_one_document_are_refused(docs: Path, home: Path, tmp_path: Path) -> None:
    write(tmp_path / "other", {"top.md": "Another."})
    ran = run("ingest", str(docs), str(tmp_path / "other"), "--sync", home=home)

    assert ran.status == 1
    assert "'top.md'" in ran.err
    assert sources(home) == set()


def test_file_that_moved_between_synced_paths_stays(docs: Path, home: Path, tmp_path: Path) -> None:
    second = tmp_path / "second"
    write(second, {"other.md": "Other."})
    words = ("ingest", str(docs), str(second), "--sync", "--collection", "c", "--json")
    run(*words, home=home)
    shutil.move(docs / "top.md", second / "top.md")

    assert counts(run(*words, home=home).json) == {"unchanged": 5}
    assert "top.md" in sources(home)
    (second / "top.md").unlink()
    assert counts(run(*words, home=home).json) == {"unchanged": 4, "removed": 1}


def test_changed_groups_are_an_update(docs: Path, home: Path) -> None:
    sync(docs, home)

    assert counts(sync(docs, home, "--groups", "staff, legal")) == {"updated": 4}
    assert counts(sync(docs, home, "--groups", "legal,staff")) == {"unchanged": 4}


def test_other_bytes_of_the_same_text_are_unchanged_from_then_on(docs: Path, home: Path) -> None:
    sync(docs, home)
    write(docs, {"top.md": FILES["top.md"].replace("\n", "\r\n")})

    assert counts(sync(docs, home)) == {"unchanged": 4}
    assert listed(home)["documents", "top.md"]["generation"] == 1


def test_lines_of_a_bundle_are_synced_and_its_folder_leaves_them_alone(
    docs: Path, home: Path
) -> None:
    bundle = docs / "more.jsonl.gz"

    def pack(*names: str) -> None:
        with gzip.open(bundle, "wt") as lines:
            lines.writelines(
                json.dumps({"path": f"{n}.md", "text": f"Line {n}."}) + "\n" for n in names
            )

    pack("a", "b")
    assert counts(sync(bundle, home)) == {"added": 2}
    pack("b", "c")
    result = sync(bundle, home)
    assert counts(result) == {"added": 1, "unchanged": 1, "removed": 1}
    assert result["removed_sources"] == ["a.md"]
    assert counts(sync(docs, home)) == {"added": 4, "failed": 1}  # a bundle below is no document
    pack()
    assert "--allow-empty" in run("ingest", str(bundle), "--sync", home=home).err
    bundle.unlink()
    assert counts(sync(bundle, home, "--allow-empty")) == {"removed": 2}
    assert sources(home) == set(FILES)


def test_many_batches_arrive_whole(docs: Path, home: Path) -> None:
    write(docs, {f"many/{n}.md": f"# {n}\n\nDocument number {n}.\n" for n in range(40)})
    write(docs, {"many/large.md": "# Large\n\n" + "A long sentence about bags. " * 12_000})

    assert counts(sync(docs, home)) == {"added": 45}
    assert counts(sync(docs, home)) == {"unchanged": 45}


def test_progress_says_how_fast_and_how_long(docs: Path, home: Path) -> None:
    ran = run("ingest", str(docs), home=home, variables={"FORCE_COLOR": "1", "COLUMNS": "120"})

    assert "documents/s" in ran.out
    assert "4/4" in ran.out
    assert "4 added" in ran.out


# With a running server and without one.


def test_sync_prints_the_same_with_a_server_and_without(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    changes: list[dict[str, str | bytes | None]] = [
        {},
        {
            "top.md": None,
            "rules/pets.md": None,
            "rules/animals.md": FILES["rules/pets.md"],
            "rules/bags.md": BINARY,
            "rules/new.md": "# New\n\nA new rule.\n",
        },
    ]

    def history(home: Path) -> list[tuple[int, str, str]]:
        shutil.rmtree(docs, ignore_errors=True)
        write(docs, FILES)
        told = []
        for change in changes:
            write(docs, change)
            for words in ((), ("--json", "--collection", "c")):
                told.append(run("ingest", str(docs), "--sync", *words, home=home).comparable())
        told.append(run("documents", "--json", home=home).comparable())
        told.append(run("ingest", str(tmp_path / "nowhere"), "--sync", home=home).comparable())
        return told

    alone = history(tmp_path / "alone")
    with served(tmp_path / "through"):
        through = history(tmp_path / "through")

    assert alone == through
