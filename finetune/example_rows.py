"""One row of a file -> one example, or the reason why it cannot be trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from finetune.examples import Example, Message, Role

SHAPES = (("messages",), ("prompt", "completion"), ("input", "output"))
SHAPE_NAMES = "`messages`, `prompt` and `completion`, or `input` and `output`"
# Columns of other formats that change what is asked or answered; dropping them would go unnoticed.
CONTENT_COLUMNS = frozenset(
    {"instruction", "system", "context", "tools", "history", "conversations", "chosen", "rejected"}
)


class RowError(ValueError):
    """A row that is not an example; the message is the reason."""


def example_of(row: object, line: int) -> Example:
    """The example that a row holds.

    Raises:
        RowError: the row has another shape, or no answer that could be learned.
    """
    if not isinstance(row, Mapping):
        raise RowError(f"not an object with {SHAPE_NAMES}")
    columns = {name: value for name, value in row.items() if value is not None}
    shape = shape_of(columns)
    _check_nothing_lost(columns, shape)
    values = [columns[name] for name in shape if name in columns]
    if len(values) < len(shape):
        missing = next(name for name in shape if name not in columns)
        raise RowError(f"no `{missing}`: an example needs the question and its answer")
    if shape == ("messages",):
        messages = _messages(values[0], "messages")
    else:
        messages = [
            *_turns(values[0], Role.USER, shape[0]),
            *_turns(values[1], Role.ASSISTANT, shape[1]),
        ]
    _check_order([message.role for message in messages])
    return Example(line, tuple(messages))


def shape_of(columns: Mapping[str, object] | Sequence[str]) -> tuple[str, ...]:
    """The one of `SHAPES` that the columns belong to; one of its columns may be missing.

    Raises:
        RowError: none or several.
    """
    shapes = [shape for shape in SHAPES if any(name in columns for name in shape)]
    if not shapes:
        found = ", ".join(map(repr, columns)) or "nothing"
        raise RowError(f"neither {SHAPE_NAMES}; it has {found}")
    if len(shapes) > 1:
        names = " and ".join(f"`{shape[0]}`" for shape in shapes)
        raise RowError(f"has both {names}; keep one of them")
    return shapes[0]


def _check_nothing_lost(columns: Mapping[str, object], shape: tuple[str, ...]) -> None:
    lost = sorted(name for name in CONTENT_COLUMNS.intersection(columns) if columns[name])
    if lost:
        names = ", ".join(f"`{name}`" for name in lost)
        raise RowError(f"{names} would not be trained on; put it into `{shape[0]}`")


def _turns(value: object, role: Role, column: str) -> list[Message]:
    """A string is one turn; a list holds messages, their roles with them."""
    if isinstance(value, str):
        return [Message(role, _text(value, f"`{column}`"))]
    if isinstance(value, Sequence):
        return _messages(value, column)
    raise RowError(f"`{column}` is {_kind(value)}, not text")


def _messages(value: object, column: str) -> list[Message]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise RowError(f"`{column}` is {_kind(value)}, not a list of messages")
    if not value:
        raise RowError(f"`{column}` is empty")
    return [_message(each, f"{column}[{place}]") for place, each in enumerate(value)]


def _message(value: object, where: str) -> Message:
    if not isinstance(value, Mapping):
        raise RowError(f"{where} is {_kind(value)}, not an object with `role` and `content`")
    present = {name: part for name, part in value.items() if part is not None}
    ignored = sorted(map(str, present.keys() - {"role", "content"}))
    if ignored:
        raise RowError(f"{where} has {', '.join(ignored)}, which would not be trained on")
    role = present.get("role")
    if role not in list(Role):
        raise RowError(f"{where} has the role {role!r}; allowed are {', '.join(Role)}")
    return Message(Role(role), _text(present.get("content"), f"{where}.content"))


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise RowError(f"{where} is {_kind(value)}, not text")
    if not value.strip():
        raise RowError(f"{where} is empty")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise RowError(f"{where} holds half a character (a lone surrogate)") from error
    return value


def _check_order(roles: Sequence[Role]) -> None:
    """An optional system message, then user and assistant in turn, the assistant last."""
    turns = roles[1:] if roles[0] is Role.SYSTEM else roles
    for place, role in enumerate(turns):
        expected = Role.ASSISTANT if place % 2 else Role.USER
        if role is not expected:
            number = place + 1 + len(roles) - len(turns)
            raise RowError(f"message {number} is the {role}'s where the {expected}'s is due")
    if not turns or turns[-1] is not Role.ASSISTANT:
        raise RowError("has no answer: the last message must be the assistant's")


def _kind(value: object) -> str:
    if value is None:
        return "missing"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "text", list: "a list"}
    return names.get(type(value), "an object" if isinstance(value, Mapping) else "something else")
