"""Keeps a model's reasoning out of its answer: `<think>…</think>` in streamed text."""

from __future__ import annotations

from serving.stops import begun

OPEN, CLOSE = "<think>", "</think>"


class ThinkingFilter:
    """Drops the blocks, and the white space that stands between one and the answer.

    `thinking` at the start is for a model whose prompt ends with the opening tag. A block that
    nobody closes lasts to the end.
    """

    def __init__(self, *, thinking: bool = False) -> None:
        self._thinking = thinking
        self._held = ""
        self._trims = thinking

    def feed(self, text: str) -> str:
        """What of the text so far belongs to the answer and was not returned before."""
        self._held += text
        shown = ""
        while True:
            mark = CLOSE if self._thinking else OPEN
            before, found, after = self._held.partition(mark)
            if not found:
                break
            shown += self._visible(before)
            self._held, self._thinking, self._trims = after, not self._thinking, True
        settled = len(self._held) - begun(self._held, [mark])
        shown += self._visible(self._held[:settled])
        self._held = self._held[settled:]
        return shown

    def finish(self) -> str:
        """The end of the answer, where it looked like the beginning of a tag."""
        rest, self._held = self._visible(self._held), ""
        return rest

    def _visible(self, text: str) -> str:
        if self._thinking:
            return ""
        if self._trims:
            text = text.lstrip()
            self._trims = not text
        return text


def template_options(template: object) -> dict[str, bool]:
    """What tells a chat template that knows the switch, as Qwen3's does, to leave reasoning out."""
    return {"enable_thinking": False} if "enable_thinking" in str(template) else {}
