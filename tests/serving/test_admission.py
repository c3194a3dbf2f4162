"""Who asks: a key names a tenant and its groups."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from serving.admission import Admission, Caller
from serving.errors import NotAuthorizedError
from serving.settings import KeySettings

KEYS = (
    KeySettings(key=SecretStr("acme-staff-0123456"), tenant="acme", groups=("staff",)),
    KeySettings(key=SecretStr("globex-0123456789"), tenant="globex"),
)


def admission() -> Admission:
    return Admission(KEYS, local_token="local-token")


@pytest.mark.parametrize("header", [None, "", "Bearer whatever", "Basic abc"])
def test_without_keys_everybody_is_the_default_tenant(header: str | None) -> None:
    assert Admission(()).caller(header) == Caller("default", ("everyone",))


def test_key_names_tenant_and_groups_and_everyone() -> None:
    caller = admission().caller("Bearer acme-staff-0123456")

    assert caller.tenant == "acme"
    assert set(caller.groups or ()) == {"staff", "everyone"}


def test_each_key_has_its_own_tenant() -> None:
    assert admission().caller("Bearer globex-0123456789").tenant == "globex"


@pytest.mark.parametrize("keys", [KEYS, ()])
def test_commands_of_this_machine_are_in_every_group_of_the_default_tenant(
    keys: tuple[KeySettings, ...],
) -> None:
    admission = Admission(keys, local_token="local-token")

    assert admission.caller("Bearer local-token") == Caller("default", groups=None)


@pytest.mark.parametrize("header", [None, "", "Bearer   "])
def test_missing_key_says_how_to_send_one(header: str | None) -> None:
    with pytest.raises(NotAuthorizedError, match="Authorization"):
        admission().caller(header)


@pytest.mark.parametrize(
    "header",
    ["Bearer nope", "Bearer acme-staff-012345", "Bearer ACME-STAFF-0123456", "Bearer schlüssel"],
)
def test_unknown_key_is_refused_without_naming_it(header: str) -> None:
    with pytest.raises(NotAuthorizedError) as caught:
        admission().caller(header)
    assert header.split()[1] not in str(caught.value)


def test_local_token_is_no_key_when_there_is_none() -> None:
    with pytest.raises(NotAuthorizedError):
        Admission(KEYS).caller("Bearer local-token")


def test_scheme_is_read_in_any_case() -> None:
    assert admission().caller("bearer globex-0123456789").tenant == "globex"
