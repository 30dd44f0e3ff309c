"""The laboratory's questions: BFCL single-turn questions as tool calls, in three frozen parts.

In: the data of the package `bfcl-eval` (see `bfcl.data`). Out: `Question`s, each with its tools, a
reference answer and its part: train, dev or heldout.

A family is a function schema: questions whose called functions have the same last name, or the
same three or more parameter names, are of one family, and so are those linked by such questions.
A family is in one part. Families of more than `BIG` questions train, since held out each counts
once only; of the others the first `HELD` in the order of a hash are held out, the next `DEV` are
dev. What no question calls belongs to the held-out part, and a function is offered in its own part
only, so that no training prompt shows a held-out schema. Left out: schemas or texts too long for
two cores, and questions whose reference breaks its own schema. No choice looks at what a model
answers.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parts import bfcl

from misstep.chat import from_chat
from misstep.config import ValidateConfig
from misstep.types import Context, Message, Part, Session, ToolCall, ToolSpec
from misstep.validate import judge, settings

CATEGORIES = ("simple_python", "multiple", "live_simple", "live_multiple")
HELD, DEV, BIG = 410, 110, 6
PER_FAMILY = {"train": 10, "dev": 2, "heldout": 1}
"""Questions taken from one family, in the order of a hash."""
SCHEMAS, TOOLS, TEXT = 1_500, 1_800, 1_200
"""Characters of the called schemas, of all offered schemas, and of the user's text at most."""
_NAMES = {"dict": "object", "float": "number", "tuple": "array", "any": None}

Calls = list[dict[str, dict[str, list[Any]]]]
"""BFCL's possible answers: per expected call its name, and per argument the right values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question with what is offered and what is right."""

    id: str
    family: str
    part: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    """Of a question that is answered by calls; one of another kind has its own `context`."""
    right: Calls = dataclasses.field(default_factory=list)
    reference: Message

    @property
    def session(self) -> Session:
        """The question with its reference in the place of the answer; `judge` replaces that."""
        return Session(
            id=self.id,
            format="bfcl",
            messages=(*self.messages, dataclasses.replace(self.reference, context=0)),
            contexts=(self.context,),
        )

    @property
    def context(self) -> Context:
        """What the request offers."""
        return Context(tools=self.tools)

    @property
    def validate(self) -> ValidateConfig:
        """What is demanded of an answer beside what the request demands."""
        return ValidateConfig(expect_call="always" if self.tools else "auto")

    def is_right(self, answer: Message) -> bool:
        """Whether an answer is correct."""
        return correct(self, answer)

    def fields(self, answer: Message) -> tuple[int, int] | None:
        """How many fields of the right answer an answer has, and of how many; None without any."""
        return None


@dataclass(frozen=True, slots=True)
class _Raw:
    id: str
    messages: list[dict[str, Any]]
    functions: list[dict[str, Any]]
    right: Calls

    @property
    def called(self) -> list[dict[str, Any]]:
        names = {name for call in self.right for name in call}
        return [f for f in self.functions if f["name"] in names]


def questions() -> dict[str, list[Question]]:
    """The questions of each part, in the order of a hash."""
    raw = [each for category in CATEGORIES for each in _read(bfcl.data(), category)]
    family = families({each.id: each.called for each in raw})
    sizes: dict[str, list[_Raw]] = defaultdict(list)
    for each in sorted(raw, key=lambda r: place(r.id)):
        sizes[family[each.id]].append(each)
    parts = split({name: len(members) for name, members in sizes.items()})
    owners = {key: parts[family[r.id]] for r in raw for f in r.called for key in keys(f)}
    out: dict[str, list[Question]] = {part: [] for part in PER_FAMILY}
    for name, members in sizes.items():
        part = parts[name]
        made = (_question(each, name, part, owners=owners) for each in members)
        sound = (q for q in made if not failures(q, q.reference))
        out[part].extend(q for q, _ in zip(sound, range(PER_FAMILY[part]), strict=False))
    return {part: sorted(found, key=lambda q: place(q.id)) for part, found in out.items()}


def place(name: str) -> str:
    """Where a name stands in the frozen order."""
    return hashlib.blake2b(f"lab/{name}".encode(), digest_size=8).hexdigest()


def keys(function: Mapping[str, Any]) -> Iterator[str]:
    """What makes two functions near-same: the last part of the name, and the parameters' names."""
    name = str(function["name"]).lower().split(".")[-1]
    yield "name " + re.sub(r"[^a-z0-9]", "", name)
    parameters = sorted(function["parameters"].get("properties", {}))
    if len(parameters) >= 3:
        yield "parameters " + " ".join(parameters)


def families(called: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, str]:
    """Family of each question, named after its first question in the frozen order."""
    above: dict[str, str] = {}

    def find(name: str) -> str:
        while above.setdefault(name, name) != name:
            above[name] = above[above[name]]
            name = above[name]
        return name

    for question, functions in called.items():
        for key in (key for function in functions for key in keys(function)):
            above[find(key)] = find("question " + question)
    groups: dict[str, list[str]] = defaultdict(list)
    for question in called:
        groups[find("question " + question)].append(question)
    return {q: min(group, key=place) for group in groups.values() for q in group}


def split(sizes: Mapping[str, int]) -> dict[str, str]:
    """Part of each family, by its size and a hash of its name."""
    small = sorted((name for name, size in sizes.items() if size <= BIG), key=place)
    parts = dict.fromkeys(sizes, "train")
    parts |= dict.fromkeys(small[:HELD], "heldout")
    return parts | dict.fromkeys(small[HELD : HELD + DEV], "dev")


def _read(data: Path, category: str) -> Iterator[_Raw]:
    name = f"BFCL_v4_{category}.json"
    answers = {r["id"]: r["ground_truth"] for r in bfcl.lines(data / "possible_answer" / name)}
    for row in bfcl.lines(data / name):
        raw = _Raw(row["id"], row["question"][0], row["function"], answers[row["id"]])
        texts = sum(len(message["content"]) for message in raw.messages)
        if sum(len(json.dumps(f)) for f in raw.called) <= SCHEMAS and texts <= TEXT:
            yield raw


def _question(raw: _Raw, family: str, part: str, *, owners: Mapping[str, str]) -> Question:
    called = [f["name"] for f in raw.called]
    room = TOOLS - sum(len(json.dumps(f)) for f in raw.called)
    offered = []
    for function in raw.functions:
        size = len(json.dumps(function))
        near = {owners.get(key, "heldout") for key in keys(function)} == {part}
        if function["name"] in called or (near and size <= room):
            offered.append(function)
            room -= 0 if function["name"] in called else size
    return Question(
        id=raw.id,
        family=family,
        part=part,
        messages=tuple(from_chat(message) for message in raw.messages),
        tools=tuple(_tool(function) for function in offered),
        right=raw.right,
        reference=_reference(raw),
    )


def _tool(function: Mapping[str, Any]) -> ToolSpec:
    schema = json.dumps(json_schema(function["parameters"]), ensure_ascii=False)
    return ToolSpec(
        name=function["name"], description=function["description"], parameters=schema, strict=True
    )


def json_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema in BFCL's dialect as JSON Schema."""
    out = dict(schema)
    kind = str(out.pop("type", "any")).lower()
    named = _NAMES.get(kind, kind)
    if named is not None:
        out = {"type": named, **out}
    if isinstance(out.get("properties"), dict):
        out["properties"] = {k: json_schema(v) for k, v in out["properties"].items()}
    if isinstance(out.get("items"), dict):
        out["items"] = json_schema(out["items"])
    return out


def _reference(raw: _Raw) -> Message:
    required = {f["name"]: f["parameters"].get("required", []) for f in raw.called}
    calls = [(name, given) for call in raw.right for name, given in call.items()]
    parts = []
    for at, (name, given) in enumerate(calls):
        arguments = next(bfcl.variants(given, required.get(name, [])))
        text = json.dumps(arguments, ensure_ascii=False)
        call = ToolCall(name=name, arguments=text, index=at, id=f"call_{at}")
        parts.append(Part(kind="call", call=call))
    return Message(role="assistant", parts=tuple(parts), finish_reason="tool_calls")


def failures(question: Question, answer: Message) -> tuple[str, ...]:
    """Codes by which an answer fails; a call is demanded where tools are offered."""
    session = question.session
    step, wanted = len(session.messages) - 1, settings(question.validate)
    demanded = wanted.expect_call == "always"
    return judge(session, step, answer, settings=wanted, demand_call=demanded)[1].codes


# --- correctness -------------------------------------------------------------------------------


def correct(question: Question, answer: Message) -> bool:
    """Whether the calls are the expected ones, each argument among the values that are right."""
    wanted = [(name, given) for call in question.right for name, given in call.items()]
    made = [(call.name, _parsed(call.arguments)) for call in answer.calls]
    if len(wanted) != len(made):
        return False
    left = list(wanted)
    for name, arguments in made:
        found = next((w for w in left if w[0] == name and _object(arguments, w[1])), None)
        if found is None:
            return False
        left.remove(found)
    return True


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _object(value: Any, right: Mapping[str, Any]) -> bool:
    """`""` among the right values means that the argument may be left out."""
    if not isinstance(value, dict) or not value.keys() <= right.keys():
        return False
    options = {k: some if isinstance(some, list) else [some] for k, some in right.items()}
    return all(
        any(_same(value[key], one) for one in some) if key in value else "" in some
        for key, some in options.items()
    )


def _same(value: Any, right: Any) -> bool:
    if isinstance(value, bool) or isinstance(right, bool):
        return value is right
    if isinstance(value, str) and isinstance(right, str):
        return _bare(value) == _bare(right)
    if isinstance(value, list) and isinstance(right, list):
        return len(value) == len(right) and all(map(_same, value, right))
    if isinstance(right, dict):
        return _object(value, right)
    return bool(value == right)


def _bare(text: str) -> str:
    """As BFCL compares strings: without case, spaces and a little punctuation."""
    return re.sub(r"[ ,./\-_*^]", "", text).lower().replace("'", '"')


def counts(found: Mapping[str, Iterable[Question]]) -> dict[str, dict[str, int]]:
    """Questions and families of each part."""
    return {
        part: {"questions": len(some), "families": len({q.family for q in some})}
        for part, some in ((part, list(given)) for part, given in found.items())
    }
