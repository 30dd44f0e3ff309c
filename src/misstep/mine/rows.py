"""Rows: pairs, failures and accepted steps as a trainer reads them.

In: values that point into a corpus. Out: rows in TRL's conversational format (`prompt` and sides
as chat messages, `tools`; `images` where there are any), with their provenance beside; `sides`
reads them back. `schemas/pair.json`, `unpaired.json` and `refused.json` describe the rows.

Argument text stays text: as an object, a table would invent null members in it, and broken JSON
could not stand in it at all. For the same reason `tools` and `context` are JSON text. Chat form
cannot say in which order text and calls interleave; where that matters, `exact` holds the same
messages as JSON text of misstep's own form. Every text of a row goes through the `Redactor`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from misstep import __version__, store
from misstep.chat import from_chat, to_chat, tool_to_chat
from misstep.mine.home import home_of
from misstep.mine.index import index_of
from misstep.mine.loose import Unpaired
from misstep.mine.marks import as_json, moved
from misstep.mine.sides import Exact
from misstep.mine.source import Corpus, answer_id
from misstep.mine.split import Split
from misstep.redact import Cleaner, redact
from misstep.types import Mark, Message, Origin, Pair, Part, Prompt, Refused, Session


class Redactor:
    """Redacts texts, each session's values by the same stand-ins in all of its rows; counts."""

    def __init__(self, *, active: bool = True) -> None:
        self._clean = Cleaner(active=active)

    @property
    def counts(self) -> Counter[str]:
        """Replacements by kind, as often as they were written."""
        return self._clean.counts

    def begin(self, session: Session) -> None:
        """What follows belongs to this session."""
        if self._clean.begin(session.id):
            self._clean.learn(text for message in session.messages for text in _texts(message))

    def __call__(self, text: str) -> str:
        got = self._clean(text)
        return got if got.isascii() else _storable(got)

    def message(self, message: Message) -> Message:
        """Role and parts of a message, every text redacted; the rest stays in the logs."""
        return Message(role=message.role, parts=tuple(map(self._part, message.parts)))

    def origin(self, origin: Origin) -> dict[str, Any]:
        """Where something was read; a path may hold a user's name too."""
        return {"file": self(origin.file), "line": origin.line, "format": origin.format}

    def model(self, message: Message) -> str | None:
        """The name of the model that a log gives."""
        return None if message.model is None else self(message.model)

    def _part(self, part: Part) -> Part:
        call, result = part.call, part.result
        if call is not None:
            name, arguments = self(call.name), self(call.arguments)
            if name == call.name and arguments == call.arguments:
                return part
            return replace(part, call=replace(call, name=name, arguments=arguments))
        if result is not None:
            text = self(result.text)
            return part if text == result.text else replace(part, result=replace(result, text=text))
        text = self(part.text or "")
        return part if text == part.text else replace(part, text=text)


def _texts(message: Message) -> Iterator[str]:
    for part in message.parts:
        if part.call is not None:
            yield part.call.arguments
        elif part.result is not None:
            yield part.result.text
        else:
            yield part.text or ""


def _storable(text: str) -> str:
    """Without lone surrogates, which no table can hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def accepted_row(
    prompt: Prompt,
    corpus: Corpus,
    split: Split,
    clean: Redactor | None = None,
    *,
    gold: Message | None = None,
) -> dict[str, Any]:
    """An accepted step as a row for supervised fine-tuning, redacted.

    Args:
        gold: the reference that takes the place of the logged answer.
    """
    clean = clean or Redactor()
    answer = corpus.answer(prompt) if gold is None else gold
    index = index_of(corpus)
    row = index.row(prompt.session, prompt.step)
    return {
        **_chat(prompt, corpus, clean, completion=answer),
        "id": index.answer(row) if gold is None else answer_id(index.key(row), gold),
        "family": split.family[prompt.session],
        "model": clean.model(answer),
        "origin": [clean.origin(origin) for origin in answer.origins],
    }


def refused_row(refused: Refused, *, clean: bool = True) -> dict[str, Any]:
    """The refused candidate as a row of `schemas/refused.json`, redacted if `clean`."""
    return {
        "prompt": {"session": refused.prompt.session, "step": refused.prompt.step},
        "source": refused.source,
        "reason": refused.reason,
        "said": redact(refused.said, personal=True).text if clean else refused.said,
        "codes": list(refused.codes),
    }


def pair_row(
    pair: Pair,
    corpus: Corpus,
    clean: Redactor | None = None,
    *,
    home: Callable[[], str | None] | None = None,
) -> dict[str, Any]:
    """The pair as a row of `schemas/pair.json`; `clean` redacts and counts.

    Args:
        home: gives the session that the chosen side comes from, where that is known.
    """
    clean = clean or Redactor()
    return {
        **_chat(
            pair.prompt,
            corpus,
            clean,
            marks=pair.marks,
            chosen=pair.chosen,
            rejected=pair.rejected,
        ),
        "session_chosen": home_of(pair, corpus) if home is None else home(),
        "id": pair.id,
        "family": pair.family,
        "source": pair.source,
        "codes": list(pair.codes),
        "validators": _validators(pair.prompt, pair.codes, corpus),
        "edits": list(pair.edits),
        "feedback": [clean(word) for word in pair.feedback],
        "margin": pair.margin,
        "cut": pair.cut,
        "model_chosen": clean.model(pair.chosen),
        "model_rejected": clean.model(pair.rejected),
        "origin_chosen": [clean.origin(origin) for origin in pair.origin_chosen],
        "origin_rejected": [clean.origin(origin) for origin in pair.origin_rejected],
        "misstep": __version__,
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
        "validators": _validators(row.prompt, row.codes, corpus),
        "edits": list(row.edits),
        "cut": row.cut,
        "model": clean.model(row.completion),
        "origin": [clean.origin(origin) for origin in row.origins],
        "misstep": __version__,
    }


def desirable_row(
    prompt: Prompt, corpus: Corpus, split: Split, clean: Redactor | None = None
) -> dict[str, Any]:
    """An accepted step as a row of `schemas/unpaired.json` with a True label."""
    return {
        **accepted_row(prompt, corpus, split, clean),
        "label": True,
        "source": "accepted",
        "codes": [],
        "validators": [],
        "edits": [],
        "cut": False,
        "misstep": __version__,
    }


def _validators(prompt: Prompt, codes: Iterable[str], corpus: Corpus) -> list[str]:
    """Each code with the version of the detector that raised it, as `CODE@1`."""
    found = corpus.findings.get((prompt.session, prompt.step), ())
    versions = {finding.code: finding.version for finding in found}
    return [f"{code}@{versions.get(code, 1)}" for code in codes]


def _chat(
    prompt: Prompt,
    corpus: Corpus,
    clean: Redactor,
    marks: Sequence[Mark] | None = None,
    **answers: Message,
) -> dict[str, Any]:
    """The prompt, the request and the answers, redacted; the marks as they lie in them then."""
    clean.begin(corpus.sessions[prompt.session])
    context = corpus.context(prompt)
    tools = [tool_to_chat(tool) for tool in context.tools]
    asked = tuple(map(clean.message, corpus.messages(prompt)))
    given = {side: clean.message(answer) for side, answer in answers.items()}
    exact = Exact(prompt=asked, answers=tuple(given.values()))
    images = [part.text for m in asked for part in m.parts if part.kind == "image"]
    return {
        "prompt": to_chat(asked),
        "tools": clean(json.dumps(tools, ensure_ascii=False)),
        "context": clean(store.encode(replace(context, tools=())).decode()),
        "session": prompt.session,
        "step": prompt.step,
        **{side: to_chat([answer]) for side, answer in given.items()},
        **({"places": as_json(moved(marks, answers, given))} if marks is not None else {}),
        **({"images": images} if images else {}),
        "exact": store.encode(exact).decode() if _lossy((*asked, *given.values())) else None,
    }


def _lossy(messages: Sequence[Message]) -> bool:
    """Whether chat form loses how parts interleave, which a template renders, or what a call is."""
    return _gist(messages) != _gist([from_chat(row) for row in to_chat(messages)])


def _gist(messages: Sequence[Message]) -> list[tuple[str, str, str]]:
    """(role, kind, text) of every part, neighbouring texts of one message joined.

    Of a call the text says what it is, too: code is no JSON, and a hosted tool needs none.
    """
    found: list[tuple[str, str, str]] = []
    for message in messages:
        fresh = True
        for part in message.parts:
            text = part.text or ""
            if part.call is not None:
                call = part.call
                text = "\x1f".join((call.kind, call.syntax, call.name, call.arguments))
            elif part.result is not None:
                text = part.result.text
            elif found and not fresh and found[-1][1] == part.kind:
                text = found.pop()[2] + text
            found.append((message.role, part.kind, text))
            fresh = False
    return found
