"""Rows of preference data of any origin, as answers that can be judged.

In: one row (a mapping) of a pairs file. Out: a `Loose`: prompt, what the request offered, and the
sides, with what is wrong with the row's very shape. Read: TRL's preference and unpaired-preference
formats, conversational or plain text, with the prompt given or shared by both sides; the hosted
form `input`, `preferred_output`, `non_preferred_output`; the ShareGPT form with `conversations`;
and misstep's own rows with all that they hold. Nothing raises on what a row holds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from misstep.chat import from_chat, tool_from_chat
from misstep.mine.sides import labelled_to_sides, row_to_sides
from misstep.redact import clip
from misstep.types import Context, Message, Part

_SHARED = frozenset({"prompt", "tools", "context", "exact", "cut", "codes"})
_OWN = _SHARED | {"chosen", "rejected"}
_OWN_LABELLED = _SHARED | {"completion", "label"}
_SPEAKERS = {
    "human": "user",
    "gpt": "assistant",
    "function_call": "assistant",
    "observation": "tool",
}


@dataclass(slots=True, kw_only=True)
class Loose:
    """One row; `chosen` is the completion of an unpaired row."""

    place: str
    """File and line or row, for people."""
    prompt: tuple[Message, ...] = ()
    context: Context = field(default_factory=Context)
    chosen: Message | None = None
    rejected: Message | None = None
    label: bool | None = None
    """Of an unpaired row."""
    family: str = ""
    source: str = ""
    """Chosen-source, where the row names one."""
    codes: tuple[str, ...] = ()
    """What the row says that the rejected side failed by."""
    part: str = ""
    """`train` or `dev`, where the file's name says so."""
    wrong: list[tuple[str, str]] = field(default_factory=list)
    """(code, sentence) of what is wrong with the row itself."""

    @property
    def whole(self) -> bool:
        """Whether both sides can be judged."""
        return self.chosen is not None and self.rejected is not None


def read_row(row: object, place: str) -> Loose:
    """The row as answers that can be judged."""
    loose = Loose(place=place)
    if not isinstance(row, Mapping):
        got = repr(clip(row, 60)) if isinstance(row, str) else type(row).__name__
        loose.wrong.append(("NOT_A_PAIR", f"expected a JSON object, got {got}"))
        return loose
    loose.family, loose.source = str(row.get("family") or ""), str(row.get("source") or "")
    loose.codes = tuple(map(str, row.get("codes") or ()))
    try:
        if row.keys() >= _OWN:
            _own(loose, row)
        elif row.keys() >= _OWN_LABELLED:
            _own_labelled(loose, row)
        else:
            _any(loose, _in_trl_form(row))
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        loose.wrong.append(("NOT_A_PAIR", f"cannot be read: {error}"))
    return loose


def _own(loose: Loose, row: Mapping[str, Any]) -> None:
    sides = row_to_sides(row)
    loose.prompt, loose.context = sides.prompt, sides.context
    loose.chosen, loose.rejected = sides.chosen, sides.rejected


def _own_labelled(loose: Loose, row: Mapping[str, Any]) -> None:
    """Without a look for tools that were not offered: a log need not record them."""
    sides = labelled_to_sides(row)
    loose.prompt, loose.context, loose.chosen = sides.prompt, sides.context, sides.chosen
    _read_label(loose, row)


def _in_trl_form(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row with the names that TRL gives to its parts."""
    if isinstance(row.get("input"), Mapping):
        given = row["input"]
        return {
            "prompt": given.get("messages"),
            "tools": given.get("tools"),
            "chosen": row.get("preferred_output"),
            "rejected": row.get("non_preferred_output"),
        }
    if isinstance(row.get("conversations"), Sequence):
        system = [{"role": "system", "content": row["system"]}] if row.get("system") else []
        sides = {name: _speaker(row[name]) for name in ("chosen", "rejected") if row.get(name)}
        prompt = [*system, *map(_speaker, row["conversations"])]
        return {**row, "prompt": prompt, **sides}
    return row


def _speaker(turn: Any) -> Any:
    """A ShareGPT turn as a chat message."""
    if not isinstance(turn, Mapping) or "from" not in turn:
        return turn
    role = _SPEAKERS.get(turn["from"], turn["from"])
    if turn["from"] != "function_call":
        return {"role": role, "content": turn.get("value")}
    call = json.loads(turn["value"])
    return {"role": role, "content": "", "tool_calls": [{"function": call}]}


def _any(loose: Loose, row: Mapping[str, Any]) -> None:
    loose.context = Context(tools=tuple(map(tool_from_chat, _tools(row.get("tools")))))
    prompt = _messages(row.get("prompt"), "user")
    if "completion" in row or "label" in row:
        _read_label(loose, row)
        loose.prompt = prompt
        loose.chosen = _side(loose, row.get("completion"), "completion")
        _check_shape(loose)
        return
    sides = {name: _messages(row.get(name), "assistant") for name in ("chosen", "rejected")}
    if row.get("prompt") is None and all(sides.values()):
        pairs = zip(sides["chosen"], sides["rejected"], strict=False)
        prompt = tuple(left for left, right in takewhile(lambda p: p[0] == p[1], pairs))
    loose.prompt = prompt
    loose.chosen = _side(loose, sides["chosen"], "chosen")
    loose.rejected = _side(loose, sides["rejected"], "rejected")
    _check_shape(loose)


def _read_label(loose: Loose, row: Mapping[str, Any]) -> None:
    loose.label = _label(row.get("label"))
    if loose.label is None:
        said = f"label is {row.get('label')!r}, expected true or false"
        loose.wrong.append(("LABEL_MISSING", said))


def _label(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return {0: False, 1: True}.get(value) if isinstance(value, int) else None


def _side(loose: Loose, given: Any, name: str) -> Message | None:
    """The one answer of a side; what else the side repeats of the prompt is left off."""
    messages = given if isinstance(given, tuple) else _messages(given, "assistant")
    shared = len(loose.prompt)
    if shared and messages[:shared] == loose.prompt:
        messages = messages[shared:]
    if not messages:
        loose.wrong.append(("UNPAIRED", f"there is no {name} answer"))
        return None
    if len(messages) > 1:
        said = f"the {name} side has {len(messages)} messages: all of them would be trained on"
        loose.wrong.append(("SEVERAL_MESSAGES", said))
        return None
    if messages[0].role != "assistant":
        said = f"the {name} side is a message of the {messages[0].role}"
        loose.wrong.append(("NOT_A_PAIR", said))
        return None
    return messages[0]


def _check_shape(loose: Loose) -> None:
    if loose.prompt and loose.prompt[-1].role == "assistant":
        said = "the prompt ends with an answer: chat templates would begin another one"
        loose.wrong.append(("PROMPT_ENDS", said))
    taught = loose.chosen if loose.label is not False else None
    if taught is not None and taught.calls and not loose.context.tools:
        loose.wrong.append(("NO_TOOLS", "the chosen side calls a tool and the row offers none"))


def _messages(given: Any, role: str) -> tuple[Message, ...]:
    """Chat messages of a list, an object or plain text."""
    if given is None or given == "":
        return ()
    if isinstance(given, str):
        parts = (Part(kind="text", text=given),)
        return (Message(role="user" if role == "user" else "assistant", parts=parts),)
    turns = [given] if isinstance(given, Mapping) else given
    return tuple(from_chat({k: v for k, v in turn.items() if v is not None}) for turn in turns)


def _tools(given: Any) -> Sequence[Any]:
    found = json.loads(given) if isinstance(given, str) and given.strip() else given
    return found or ()
