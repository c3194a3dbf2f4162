"""Settings: a profile, TWOFOLD_ variables over it, the command line over both."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from serving.errors import SettingsError
from serving.settings import PROFILES, GeneratorKind, Settings, StoreKind, load_settings

USERS_OWN = {  # what a profile leaves to its user
    "cluster": {
        "qdrant_url": "http://qdrant:6333",
        "openai_base_url": "http://vllm:8000/v1",
        "openai_model": "base",
    }
}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("TWOFOLD_"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize("profile", sorted(path.stem for path in PROFILES.glob("*.toml")))
def test_every_shipped_profile_loads(profile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in USERS_OWN.get(profile, {}).items():
        monkeypatch.setenv(f"TWOFOLD_{name.upper()}", value)

    assert isinstance(load_settings(profile), Settings)


def test_cluster_profile_asks_for_what_only_its_user_knows() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings("cluster")
    assert str(caught.value).splitlines() == [
        "generator = openai needs openai_base_url",
        "generator = openai needs openai_model",
        "store = qdrant needs qdrant_url, such as http://localhost:6333",
    ]


def test_cluster_profile_keeps_passages_on_a_server_and_asks_another_to_write() -> None:
    settings = load_settings("cluster", **USERS_OWN["cluster"])

    assert settings.store is StoreKind.QDRANT
    assert settings.generator is GeneratorKind.OPENAI
    assert not settings.starter_documents


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("QDRANT_URL", "localhost:6333", "http:// or https://, got 'localhost:6333'"),
        ("QDRANT_COLLECTION", "a/b", "qdrant_collection.*'a/b'"),
        ("STORE", "lance", "store.*'lance'"),
    ],
)
def test_unusable_store_is_named(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWOFOLD_STORE", "qdrant")
    monkeypatch.setenv("TWOFOLD_QDRANT_URL", "http://qdrant:6333")
    monkeypatch.setenv(f"TWOFOLD_{name}", value)

    with pytest.raises(SettingsError, match=message):
        load_settings()


def test_starter_profile_is_offline_and_local() -> None:
    settings = load_settings()

    assert settings.generator is GeneratorKind.EXTRACTIVE
    assert settings.embedder == "bundled"
    assert settings.host == "127.0.0.1"
    assert settings.starter_documents
    assert settings.keys == ()


def test_unknown_profile_is_told_with_those_that_exist() -> None:
    with pytest.raises(SettingsError, match=r"'huge'; there are: cluster, gpu-24gb, starter"):
        load_settings("huge")


@pytest.mark.parametrize("profile", ["starter.toml", "", "STARTER"])
def test_profile_is_its_name(profile: str) -> None:
    with pytest.raises(SettingsError, match="no profile"):
        load_settings(profile)


def test_variable_overrides_the_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWOFOLD_STARTER_DOCUMENTS", "false")
    monkeypatch.setenv("TWOFOLD_PORT", "9000")
    settings = load_settings()

    assert not settings.starter_documents
    assert settings.port == 9000


def test_command_line_overrides_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWOFOLD_PORT", "9000")

    assert load_settings(port=7000).port == 7000
    assert load_settings(port=None).port == 9000


def test_unknown_variables_are_all_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWOFOLD_POTR", "9000")
    monkeypatch.setenv("TWOFOLD_HOEM", "/tmp")

    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "TWOFOLD_HOEM is no setting" in str(caught.value)
    assert "TWOFOLD_POTR is no setting" in str(caught.value)


def test_every_problem_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWOFOLD_PORT", "many")
    monkeypatch.setenv("TWOFOLD_PASSAGE_TOKENS", "3")
    monkeypatch.setenv("TWOFOLD_POTR", "9000")

    with pytest.raises(SettingsError) as caught:
        load_settings()
    message = str(caught.value)
    assert all(part in message for part in ("port", "'many'", "passage_tokens", "TWOFOLD_POTR"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("GENERATOR", "magic"),
        ("MAX_UPLOAD_MIB", "0"),
        ("PASSAGES_PER_PROMPT", "21"),
        ("PROMPT_TOKENS", "255"),
        ("STARTER_DOCUMENTS", "perhaps"),
    ],
)
def test_value_out_of_bounds_is_named(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"TWOFOLD_{name}", value)

    with pytest.raises(SettingsError, match=rf"{name.lower()}.*{value}"):
        load_settings()


def test_language_model_generators_need_their_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWOFOLD_GENERATOR", "transformers")
    with pytest.raises(SettingsError, match="language_model"):
        load_settings()

    monkeypatch.setenv("TWOFOLD_GENERATOR", "openai")
    with pytest.raises(SettingsError, match=r"openai_base_url\n.*openai_model"):
        load_settings()


def test_keys_are_read_with_tenant_and_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "TWOFOLD_KEYS", '[{"key": "0123456789abcdef", "tenant": "acme", "groups": ["staff"]}]'
    )
    (key,) = load_settings().keys

    assert key.key.get_secret_value() == "0123456789abcdef"
    assert (key.tenant, key.groups) == ("acme", ("staff",))


@pytest.mark.parametrize(
    "keys",
    [
        '[{"key": "hunter2-short"}]',
        '[{"key": "hunter2-0123456789"}, {"key": "hunter2-0123456789", "tenant": "other"}]',
        '[{"key": "hunter2-0123456789", "role": "admin"}]',
        '["hunter2-0123456789"]',
    ],
)
def test_unusable_keys_are_refused_and_never_shown(
    keys: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWOFOLD_KEYS", keys)

    with pytest.raises(SettingsError, match="keys") as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["KEYS", "OPENAI_ADAPTERS"])
def test_variable_that_is_not_json_is_a_settings_error(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"TWOFOLD_{name}", "not json")

    with pytest.raises(SettingsError, match=name.lower()):
        load_settings()


def test_secrets_do_not_show_in_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWOFOLD_KEYS", '[{"key": "hunter2-0123456789"}]')
    monkeypatch.setenv("TWOFOLD_OPENAI_API_KEY", "hunter2")
    monkeypatch.setenv("TWOFOLD_QDRANT_API_KEY", "hunter2")

    assert "hunter2" not in repr(load_settings())


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        load_settings().port = 1


def test_models_lie_in_the_home_unless_set_apart(tmp_path: Path) -> None:
    assert load_settings(home=tmp_path).models_folder == tmp_path / "models"
    assert load_settings(home=tmp_path, models_dir=Path("/m")).models_folder == Path("/m")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fallback_openai_base_url": "http://gpu:8000/v1"}, "go together"),
        ({"fallback_openai_model": "big"}, "go together"),
        (
            {"fallback_openai_base_url": "http://gpu:8000/v1", "fallback_openai_model": "big"},
            "needs a generator before it",
        ),
    ],
)
def test_fallback_that_cannot_be_asked_is_named(given: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_settings(**given)
