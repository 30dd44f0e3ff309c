"""Rows: pairs, failures and accepted steps as a trainer reads them, and back again.

In: values that point into a corpus. Out: rows in TRL's conversational format (`prompt` and sides
as chat messages, `tools`), with their provenance beside; `row_to_sides` and `accepted_to_sides`
give what training needs from them without the logs. `schemas/pair.json`, `unpaired.json` and
`refused.json` describe the rows.

Argument text stays text: as an object, a table would invent null members in it, and broken JSON
could not stand in it at all. For the same reason `tools` and `context` are JSON text. Chat form
cannot say in which order text and calls interleave; where that matters, `exact` holds the same
messages as JSON text of misstep's own form, and reading back prefers it. Every text of a row goes
through `redact`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from misstep import store
from misstep.chat import from_chat, prompt_keys, to_chat, tool_from_chat, tool_to_chat
from misstep.mine.miner import Unpaired
from misstep.mine.source import Corpus, answer_id
from misstep.mine.split import Split
from misstep.redact import redact
from misstep.types import Context, Message, Origin, Pair, Part, Prompt, Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """What a row teaches, rebuilt without the logs."""

    id: str
    prompt: tuple[Message, ...]
    context: Context
    chosen: Message
    rejected: Message | None
    """None for an accepted step, which has no partner."""
    cut: bool
    family: str
    source: str
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exact:
    """The messages of a row, part by part; the answers in the order of the row's sides."""

    prompt: tuple[Message, ...]
    answers: tuple[Message, ...]


@dataclass(slots=True)
class Redactor:
    """Redacts texts and counts."""

    secrets: int = 0

    def __call__(self, text: str) -> str:
        got = redact(text)
        self.secrets += got.count
        return got.text if got.text.isascii() else _storable(got.text)

    def message(self, message: Message) -> Message:
        """Role and parts of a message, every text redacted; the rest stays in the logs."""
        return Message(role=message.role, parts=tuple(map(self._part, message.parts)))

    def _part(self, part: Part) -> Part:
        if part.call is not None:
            name, arguments = self(part.call.name), self(part.call.arguments)
            return replace(part, call=replace(part.call, name=name, arguments=arguments))
        if part.result is not None:
            return replace(part, result=replace(part.result, text=self(part.result.text)))
        return replace(part, text=self(part.text or ""))


def _storable(text: str) -> str:
    """Without lone surrogates, which no table can hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def accepted_row(prompt: Prompt, corpus: Corpus, split: Split) -> dict[str, Any]:
    """An accepted step as a row for supervised fine-tuning, redacted."""
    answer = corpus.answer(prompt)
    key = prompt_keys(corpus.sessions[prompt.session])[prompt.step]
    return {
        **_chat(prompt, corpus, Redactor(), completion=answer),
        "id": answer_id(key, answer),
        "family": split.family[prompt.session],
        "model": answer.model,
        "origin": [_origin(origin) for origin in answer.origins],
    }


def refused_row(refused: Refused) -> dict[str, Any]:
    """The refused candidate as a row of `schemas/refused.json`, redacted."""
    prompt = {"session": refused.prompt.session, "step": refused.prompt.step}
    return {
        "prompt": prompt,
        "source": refused.source,
        "reason": refused.reason,
        "said": redact(refused.said).text,
        "codes": list(refused.codes),
    }


def pair_row(pair: Pair, corpus: Corpus, clean: Redactor | None = None) -> dict[str, Any]:
    """The pair as a row of `schemas/pair.json`; `clean` redacts and counts."""
    clean = clean or Redactor()
    return {
        **_chat(pair.prompt, corpus, clean, chosen=pair.chosen, rejected=pair.rejected),
        "id": pair.id,
        "family": pair.family,
        "source": pair.source,
        "codes": list(pair.codes),
        "edits": list(pair.edits),
        "margin": pair.margin,
        "cut": pair.cut,
        "model_chosen": pair.chosen.model,
        "model_rejected": pair.rejected.model,
        "origin_chosen": [_origin(origin) for origin in pair.origin_chosen],
        "origin_rejected": [_origin(origin) for origin in pair.origin_rejected],
    }


def unpaired_row(row: Unpaired, corpus: Corpus, clean: Redactor | None = None) -> dict[str, Any]:
    """The failure as a row of `schemas/unpaired.json` (KTO); `clean` redacts and counts."""
    clean = clean or Redactor()
    return {
        **_chat(row.prompt, corpus, clean, completion=row.completion),
        "label": False,
        "id": row.id,
        "family": row.family,
        "source": row.source,
        "codes": list(row.codes),
        "edits": list(row.edits),
        "cut": row.cut,
        "model": row.completion.model,
        "origin": [_origin(origin) for origin in row.origins],
    }


def _chat(prompt: Prompt, corpus: Corpus, clean: Redactor, **answers: Message) -> dict[str, Any]:
    """The prompt, the request and the answers, redacted."""
    context = corpus.context(prompt)
    tools = [tool_to_chat(tool) for tool in context.tools]
    asked = tuple(map(clean.message, corpus.messages(prompt)))
    given = {side: clean.message(answer) for side, answer in answers.items()}
    exact = Exact(prompt=asked, answers=tuple(given.values()))
    return {
        "prompt": to_chat(asked),
        "tools": clean(json.dumps(tools, ensure_ascii=False)),
        "context": clean(store.encode(replace(context, tools=())).decode()),
        "session": prompt.session,
        "step": prompt.step,
        **{side: to_chat([answer]) for side, answer in given.items()},
        "exact": store.encode(exact).decode() if _lossy((*asked, *given.values())) else None,
    }


def _lossy(messages: Sequence[Message]) -> bool:
    """Whether chat form loses what a template renders: the order in which parts interleave."""
    return _gist(messages) != _gist([from_chat(row) for row in to_chat(messages)])


def _gist(messages: Sequence[Message]) -> list[tuple[str, str, str]]:
    """(role, kind, text) of every part, neighbouring texts of one message joined."""
    found: list[tuple[str, str, str]] = []
    for message in messages:
        fresh = True
        for part in message.parts:
            text = part.text or ""
            if part.call is not None:
                text = f"{part.call.name}\x1f{part.call.arguments}"
            elif part.result is not None:
                text = part.result.text
            elif found and not fresh and found[-1][1] == part.kind:
                text = found.pop()[2] + text
            found.append((message.role, part.kind, text))
            fresh = False
    return found


def _origin(origin: Origin) -> dict[str, Any]:
    return {"file": origin.file, "line": origin.line, "format": origin.format}


def row_to_sides(row: Mapping[str, Any]) -> Sides:
    """The two sides of a row of `pair_row`, as read back from Parquet or JSON."""
    exact = _exact(row, "chosen", "rejected")
    chosen, rejected = exact.answers
    return Sides(
        **_shared(row),
        prompt=exact.prompt,
        chosen=chosen,
        rejected=replace(rejected, end="cut") if row["cut"] else rejected,
        cut=bool(row["cut"]),
        source=row["source"],
        codes=tuple(row["codes"]),
    )


def accepted_to_sides(row: Mapping[str, Any]) -> Sides:
    """The chosen side of a row of `accepted_row`, as read back; there is no rejected one."""
    exact = _exact(row, "completion")
    return Sides(
        **_shared(row),
        prompt=exact.prompt,
        chosen=exact.answers[0],
        rejected=None,
        cut=False,
        source="accepted",
        codes=(),
    )


def _exact(row: Mapping[str, Any], *sides: str) -> Exact:
    if row["exact"] is not None:
        return store.decode(row["exact"], Exact)
    return Exact(
        prompt=tuple(map(_message, row["prompt"])),
        answers=tuple(_message(row[side][0]) for side in sides),
    )


def _message(row: Mapping[str, Any]) -> Message:
    """A chat message without the null members that a table adds."""
    return from_chat({key: value for key, value in row.items() if value is not None})


def _shared(row: Mapping[str, Any]) -> dict[str, Any]:
    tools = tuple(tool_from_chat(tool) for tool in json.loads(row["tools"]))
    return {
        "id": row["id"],
        "context": replace(store.decode(row["context"], Context), tools=tools),
        "family": row["family"],
    }
