"""Export: pairs as rows that a trainer reads, without secrets and without the logs.

In: `Pair`s and the corpus they point into. Out: rows in TRL's conversational preference format
(`prompt`, `chosen`, `rejected` as chat messages, `tools`), with their provenance beside, and back
again: `row_to_sides` gives what training needs. `schemas/pair.json`, `unpaired.json` and
`refused.json` describe the rows; each is held against them at the door.

Argument text stays text: as an object, a table would invent null members in it, and broken JSON
could not stand in it at all. For the same reason `tools` and `context` are JSON text. Every text
of a row goes through `redact`; the counts are given back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from misstep import store
from misstep.chat import from_chat, prompt_keys, to_chat, tool_from_chat, tool_to_chat
from misstep.mine.card import write_card
from misstep.mine.miner import Mined, Unpaired
from misstep.mine.source import Corpus, answer_id
from misstep.mine.split import Split
from misstep.redact import redact
from misstep.types import Context, Message, Origin, Pair, Prompt, Refused

PAIR_COLUMNS = ("id", "prompt", "chosen", "rejected", "tools")
UNPAIRED_COLUMNS = ("id", "prompt", "completion", "label", "tools")


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


@dataclass(slots=True)
class _Redactor:
    """Redacts texts and counts."""

    secrets: int = 0

    def __call__(self, text: str) -> str:
        got = redact(text)
        self.secrets += got.count
        return got.text

    def chat(self, messages: Iterable[Message]) -> list[dict[str, Any]]:
        """Chat messages, every text redacted."""
        return [self._row(row) for row in to_chat(messages)]

    def _row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        texts = {k: self(v) for k, v in row.items() if k in ("content", "reasoning_content")}
        calls = [self._call(call) for call in row.get("tool_calls", ())]
        return {**row, **texts, **({"tool_calls": calls} if calls else {})}

    def _call(self, call: Mapping[str, Any]) -> dict[str, Any]:
        function = call["function"]
        return {**call, "function": {**function, "arguments": self(function["arguments"])}}


def pair_row(pair: Pair, corpus: Corpus) -> dict[str, Any]:
    """The pair as a row of `schemas/pair.json`, redacted."""
    return _pair_row(pair, corpus, _Redactor())


def unpaired_row(row: Unpaired, corpus: Corpus) -> dict[str, Any]:
    """The failure as a row of `schemas/unpaired.json` (KTO), redacted."""
    return _unpaired_row(row, corpus, _Redactor())


def accepted_row(prompt: Prompt, corpus: Corpus, split: Split) -> dict[str, Any]:
    """An accepted step as a row for supervised fine-tuning, redacted."""
    clean, answer = _Redactor(), corpus.answer(prompt)
    key = prompt_keys(corpus.sessions[prompt.session])[prompt.step]
    return {
        **_asked(prompt, corpus, clean),
        "completion": clean.chat([answer]),
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


def _pair_row(pair: Pair, corpus: Corpus, clean: _Redactor) -> dict[str, Any]:
    return {
        **_asked(pair.prompt, corpus, clean),
        "chosen": clean.chat([pair.chosen]),
        "rejected": clean.chat([pair.rejected]),
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


def _unpaired_row(row: Unpaired, corpus: Corpus, clean: _Redactor) -> dict[str, Any]:
    return {
        **_asked(row.prompt, corpus, clean),
        "completion": clean.chat([row.completion]),
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


def _asked(prompt: Prompt, corpus: Corpus, clean: _Redactor) -> dict[str, Any]:
    """What both sides share."""
    context = corpus.context(prompt)
    tools = [tool_to_chat(tool) for tool in context.tools]
    return {
        "prompt": clean.chat(corpus.messages(prompt)),
        "tools": clean(json.dumps(tools, ensure_ascii=False)),
        "context": clean(store.encode(replace(context, tools=())).decode()),
        "session": prompt.session,
        "step": prompt.step,
    }


def _origin(origin: Origin) -> dict[str, Any]:
    return {"file": origin.file, "line": origin.line, "format": origin.format}


def row_to_sides(row: Mapping[str, Any]) -> Sides:
    """The two sides of a row of `pair_row`, as read back from Parquet or JSON.

    A table adds null members to messages; they are taken out again.
    """
    rejected = _message(row["rejected"][0])
    return Sides(
        **_shared(row),
        chosen=_message(row["chosen"][0]),
        rejected=replace(rejected, end="cut") if row["cut"] else rejected,
        cut=bool(row["cut"]),
        source=row["source"],
        codes=tuple(row["codes"]),
    )


def accepted_to_sides(row: Mapping[str, Any]) -> Sides:
    """The chosen side of a row of `accepted_row`, as read back; there is no rejected one."""
    return Sides(
        **_shared(row),
        chosen=_message(row["completion"][0]),
        rejected=None,
        cut=False,
        source="accepted",
        codes=(),
    )


def _shared(row: Mapping[str, Any]) -> dict[str, Any]:
    tools = tuple(tool_from_chat(tool) for tool in json.loads(row["tools"]))
    return {
        "id": row["id"],
        "prompt": tuple(_message(message) for message in row["prompt"]),
        "context": replace(store.decode(row["context"], Context), tools=tools),
        "family": row["family"],
    }


def _message(row: Mapping[str, Any]) -> Message:
    return from_chat({key: value for key, value in row.items() if value is not None})


def export(mined: Mined, corpus: Corpus, split: Split, *, folder: Path) -> dict[str, int]:
    """Write pairs, unpaired failures, refused candidates and the dataset card into `folder`.

    `pairs/{train,dev}.parquet`, `unpaired/{train,dev}.parquet`, `refused.jsonl`, `README.md`; each
    complete or absent. Gives rows per file, and how many secrets were taken out (`secrets`).

    Raises:
        StageError: the folder cannot be written, or a row breaks its schema.
    """
    clean = _Redactor()
    counts: dict[str, int] = {}
    for part in ("train", "dev"):
        pairs = [p for p in mined.pairs if split.part[p.prompt.session] == part]
        rows = [_pair_row(pair, corpus, clean) for pair in pairs]
        counts[f"pairs/{part}.parquet"] = _write(folder, f"pairs/{part}", rows, "pair")
        loose = [u for u in mined.unpaired if split.part[u.prompt.session] == part]
        rows = [_unpaired_row(row, corpus, clean) for row in loose]
        counts[f"unpaired/{part}.parquet"] = _write(folder, f"unpaired/{part}", rows, "unpaired")
    refused = [refused_row(each) for each in mined.refused]
    counts["refused.jsonl"] = store.write_jsonl(folder / "refused.jsonl", refused, schema="refused")
    counts["secrets"] = clean.secrets
    write_card(folder / "README.md", mined.counts, files=counts)
    return counts


def _write(folder: Path, name: str, rows: Sequence[Mapping[str, Any]], kind: str) -> int:
    for row in rows:
        store.check_row(row, kind)
    columns = PAIR_COLUMNS if kind == "pair" else UNPAIRED_COLUMNS
    store.write_rows(folder / f"{name}.parquet", rows, columns=columns)
    return len(rows)
