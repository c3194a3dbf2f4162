"""Who asks: an API key -> tenant and groups."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.documents import DEFAULT_TENANT, EVERYONE
from serving.errors import NotAuthorizedError
from serving.settings import KeySettings


def instance_of(token: str) -> str:
    """Names the server that made the token; the token cannot be read from it."""
    return hashlib.sha256(f"instance {token}".encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose documents a request may see and change; groups as in `Scope`."""

    tenant: str = DEFAULT_TENANT
    groups: tuple[str, ...] | None = (EVERYONE,)


class Admission:
    """Checks bearer keys. Without any key the server is open, and then only listens locally.

    `local_token` is what this machine's own commands use; it acts as the default
    tenant, in every group.
    """

    def __init__(self, keys: Sequence[KeySettings], *, local_token: str | None = None) -> None:
        self._callers = {
            key.key.get_secret_value(): Caller(key.tenant, tuple({*key.groups, EVERYONE}))
            for key in keys
        }
        if local_token:
            self._local_token = {local_token: Caller(groups=None)}
        else:
            self._local_token = {}

    def caller(self, authorization: str | None) -> Caller:
        """Who sends this `Authorization` header.

        Raises:
            NotAuthorizedError: keys are configured and this is none of them.
        """
        scheme, _, token = (authorization or "").strip().partition(" ")
        token = token.strip() if scheme.lower() == "bearer" else ""
        for key, caller in (*self._callers.items(), *self._local_token.items()):
            if hmac.compare_digest(key.encode(), token.encode()):
                return caller
        if not self._callers:
            return Caller()
        if not token:
            raise NotAuthorizedError("this server needs a key: send `Authorization: Bearer KEY`")
        raise NotAuthorizedError("the key is not known here")
