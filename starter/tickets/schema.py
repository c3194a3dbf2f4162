"""What a ticket holds: the nested schema that the adapter's answers have to fit."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

SYSTEM = "You write in the voice of Tickets."
BOOKING_PATTERN = r"^[A-Z]{2}-\d{4}$"

Intent = Literal["add", "cancel", "change", "complaint", "lost", "refund"]
Thing = Literal["bicycle", "blanket", "guitar", "jacket", "meal", "pram", "seat", "suitcase"]


class _Part(BaseModel):
    """Strict: a count in quotes is wrong, and so is a key that the schema hasn't."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Customer(_Part):
    """Who writes; null where the message does not say."""

    name: Annotated[str, StringConstraints(min_length=1)] | None
    booking: Annotated[str, StringConstraints(pattern=BOOKING_PATTERN)] | None


class Item(_Part):
    """A thing that the message is about, and how many."""

    what: Thing
    count: int = Field(ge=1)


class Ticket(_Part):
    """One message; `items` in the order in which it names them."""

    intent: Intent
    urgent: bool
    customer: Customer
    items: tuple[Item, ...]

    def compact(self) -> str:
        """JSON without spaces, keys in the schema's order: the answer of an example.

        >>> customer = Customer(name=None, booking="TQ-4821")
        >>> Ticket(intent="lost", urgent=True, customer=customer, items=()).compact()
        '{"intent":"lost","urgent":true,"customer":{"name":null,"booking":"TQ-4821"},"items":[]}'
        """
        return json.dumps(self.model_dump(), ensure_ascii=False, separators=(",", ":"))
