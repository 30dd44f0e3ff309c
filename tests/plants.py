"""Good pairs spoilt on purpose, each in a named way, with the code that must refuse it.

Shared by the tests of the gate and by `benchmarks/planted.py`. A kind takes a pair that the gate
lets through and gives `Plant`s: the same pair with one fault at a named place. What the gate says
of a plant is `answer_to(plant)`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from misstep import mine, validate
from misstep.config import MineConfig, ValidateConfig
from misstep.mine.desk import Desk
from misstep.mine.door import Door
from misstep.mine.entry import Judged, entry_of
from misstep.mine.gate import draft, margin, objection
from misstep.mine.reference import Reference
from misstep.mine.source import Candidate
from misstep.models.budget import Budget
from misstep.types import (
    Finding,
    Message,
    Part,
    Prompt,
    Session,
    ToolCall,
    ToolResult,
    Verdict,
    content_id,
)

SETTINGS = validate.settings(ValidateConfig())
CONFIG = MineConfig(heldout=0.0, dev=0.0, supported_values=False, min_votes=1)
PASSED = ("tool_call",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Good:
    """A real pair that the gate lets through: its session up to the failed step, and both sides."""

    id: str
    session: Session
    step: int
    chosen: Message
    rejected: Message
    vouched: bool = False
    """The log's verdict on the chosen side is needed too; it then stands for plants as well."""

    @property
    def prompt(self) -> Prompt:
        return Prompt(session=self.session.id, step=self.step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """One spoilt pair."""

    kind: str
    place: str
    want: str
    desk: Desk
    candidate: Candidate
    before: tuple[Candidate, ...] = ()
    """Pairs that stand at the door before it."""


Made = Iterator[tuple[str, str, Callable[[], tuple[Desk, Candidate, tuple[Candidate, ...]]]]]
"""(place, code, how to make it)."""


def good_pairs(mined: mine.Mined, corpus: mine.Corpus) -> Iterator[Good]:
    """The mined pairs that pass the gate by themselves, without their log."""
    for pair in mined.pairs:
        whole = corpus.sessions[pair.prompt.session]
        step = pair.prompt.step
        session = replace(
            whole, messages=whole.messages[: step + 1], parent=None, prefix=0, outcome=None
        )
        if "trim" in pair.edits or not session.contexts:
            continue
        good = Good(
            id=pair.id, session=session, step=step, chosen=pair.chosen, rejected=pair.rejected
        )
        for vouched in (False, True):
            tried = replace(good, vouched=vouched)
            at = desk_of(tried)
            if objection(at, draft(at, candidate_of(tried))) is None:
                yield tried
                break


def plants(good: Good, kinds: Sequence[str] | None = None) -> Iterator[Plant]:
    """Every way in which this pair can be spoilt."""
    for kind, find in KINDS.items():
        if kinds is not None and kind not in kinds:
            continue
        for place, want, make in find(good):
            desk, candidate, before = make()
            yield Plant(
                kind=kind, place=place, want=want, desk=desk, candidate=candidate, before=before
            )


def _itself(judged: Judged) -> Judged:
    return judged


def answer_to(plant: Plant) -> str | None:
    """The code that refuses the plant; None where it is let through."""
    door = Door(plant.desk.config)
    queue = (*plant.before, plant.candidate)
    found = (entry_of(plant.desk, draft(plant.desk, candidate)) for candidate in queue)
    door.enter([(entry, partial(_itself, judged)) for entry, judged in found])
    if len(door.pairs) == len(queue):
        return None
    if len(door.refused) > 1:
        return "MORE_THAN_THE_PLANT"
    return door.refused[0].reason


def desk_of(good: Good, *others: Session, **more: Any) -> Desk:
    """A desk over the pair's session and others, everything in the train part."""
    sessions = {s.id: s for s in (good.session, *others)}.values()
    corpus = mine.gather(sessions, [validate.validate(s, SETTINGS) for s in sessions])
    for (name, step), told in more.pop("verdicts", {}).items():
        corpus.verdicts[name, step] = told  # type: ignore[index]
        corpus.findings.setdefault((name, step), ())  # type: ignore[attr-defined]
    family = {s.id: f"family of {s.id}" for s in sessions}
    split = mine.Split(part=dict.fromkeys(family, "train"), family=family)
    given = {"config": CONFIG, "settings": SETTINGS, "split": split, **more}
    return Desk(corpus=corpus, **given)


def candidate_of(good: Good, **more: Any) -> Candidate:
    told = Verdict(session=good.session.id, step=0, state="pass", score=1.0, judges=("tool_error",))
    given = {"chosen": good.chosen, "rejected": good.rejected, "source": "sibling", **more}
    if good.vouched:
        given.setdefault("logged", told)
    return Candidate(prompt=good.prompt, **given)


# --- how sides are spoilt ----------------------------------------------------------------------


def first_call(answer: Message) -> ToolCall | None:
    return answer.calls[0] if answer.calls else None


def with_arguments(answer: Message, text: str) -> Message:
    call = replace(answer.calls[0], arguments=text)
    at = next(i for i, part in enumerate(answer.parts) if part.call is not None)
    parts = list(answer.parts)
    parts[at] = replace(parts[at], call=call)
    return replace(answer, parts=tuple(parts))


def with_text(answer: Message, text: str) -> Message:
    """The answer with a text before its calls."""
    return replace(answer, parts=(Part(kind="text", text=text), *answer.parts))


def schema_of(good: Good) -> dict[str, Any]:
    call = first_call(good.chosen)
    tools = good.session.context_of(good.step).tools
    tool = next((t for t in tools if call is not None and t.name == call.name), None)
    return json.loads(tool.parameters) if tool is not None and tool.parameters else {}


def arguments_of(answer: Message) -> dict[str, Any]:
    call = first_call(answer)
    try:
        found = json.loads(call.arguments) if call is not None else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def spoilt(good: Good, place: str, want: str, chosen: Message) -> Made:
    yield place, want, lambda: (desk_of(good), candidate_of(good, chosen=chosen), ())


def changed(good: Good, place: str, want: str, arguments: dict[str, Any] | str) -> Made:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    yield from spoilt(good, place, want, with_arguments(good.chosen, text))


_WRONG: dict[str, Any] = {
    "string": 7,
    "integer": "seven",
    "number": "much",
    "boolean": "perhaps",
    "array": "one",
    "object": "all",
}


def missing_argument(good: Good) -> Made:
    given = arguments_of(good.chosen)
    for name in schema_of(good).get("required", ()):
        left = {k: v for k, v in given.items() if k != name}
        if name in given:
            yield from changed(good, name, "CHOSEN_FAILS", left)


def extra_argument(good: Good) -> Made:
    if first_call(good.chosen) and schema_of(good).get("additionalProperties") is False:
        for name in ("note", "confidence", "Id"):
            given = {**arguments_of(good.chosen), name: "x"}
            yield from changed(good, name, "CHOSEN_FAILS", given)


def wrong_type(good: Good) -> Made:
    given = arguments_of(good.chosen)
    for name, schema in schema_of(good).get("properties", {}).items():
        if name in given and schema.get("type") in _WRONG and "enum" not in schema:
            wrong = {**given, name: _WRONG[schema["type"]]}
            yield from changed(good, name, "CHOSEN_FAILS", wrong)


def out_of_enum(good: Good) -> Made:
    given = arguments_of(good.chosen)
    for name, schema in schema_of(good).get("properties", {}).items():
        if name in given and "enum" in schema:
            yield from changed(good, name, "CHOSEN_FAILS", {**given, name: "none of these"})


def out_of_range(good: Good) -> Made:
    given = arguments_of(good.chosen)
    for name, schema in schema_of(good).get("properties", {}).items():
        if name in given and "minimum" in schema:
            low = {**given, name: schema["minimum"] - 1}
            yield from changed(good, f"{name} below", "CHOSEN_FAILS", low)
        if name in given and "maximum" in schema:
            high = {**given, name: schema["maximum"] + 1}
            yield from changed(good, f"{name} above", "CHOSEN_FAILS", high)


def bad_format(good: Good) -> Made:
    given = arguments_of(good.chosen)
    for name, schema in schema_of(good).get("properties", {}).items():
        if name in given and ("format" in schema or "pattern" in schema):
            yield from changed(good, name, "CHOSEN_FAILS", {**given, name: "~ ~"})


def null_argument(good: Good) -> Made:
    given = arguments_of(good.chosen)
    for name in schema_of(good).get("required", ()):
        if name in given:
            yield from changed(good, name, "CHOSEN_FAILS", {**given, name: None})


def broken_json(good: Good) -> Made:
    call = first_call(good.chosen)
    if call is None or not arguments_of(good.chosen):
        return
    text = call.arguments
    for place, broken in (
        ("cut in the middle", text[: len(text) // 2]),
        ("last brace lost", text.rstrip()[:-1]),
        ("trailing comma", text.rstrip()[:-1] + ",}"),
        ("single quotes", text.replace('"', "'")),
        ("fenced", f"```json\n{text}\n```"),
        ("two objects", text + text),
        ("not an object", f"[{text}]"),
        ("not a number", text.rstrip()[:-1] + ', "x": NaN}'),
    ):
        yield from changed(good, place, "CHOSEN_FAILS", broken)


def key_twice(good: Good) -> Made:
    given = arguments_of(good.chosen)
    for name, value in given.items():
        text = json.dumps(given)[:-1] + f", {json.dumps(name)}: {json.dumps(value)}}}"
        yield from changed(good, name, "CHOSEN_FAILS", text)


def twice_encoded(good: Good) -> Made:
    if arguments_of(good.chosen):
        text = json.dumps(json.dumps(arguments_of(good.chosen)))
        yield from changed(good, "arguments", "CHOSEN_FAILS", text)


def unknown_tool(good: Good) -> Made:
    call = first_call(good.chosen)
    if call is None:
        return
    for place, name in (("other case", call.name.upper()), ("invented", "do_it"), ("empty", "")):
        other = replace(call, name=name)
        parts = tuple(replace(p, call=other) if p.call == call else p for p in good.chosen.parts)
        yield from spoilt(good, place, "CHOSEN_FAILS", replace(good.chosen, parts=parts))


def call_as_text(good: Good) -> Made:
    call = first_call(good.chosen)
    if call is None:
        return
    body = f'{{"name": "{call.name}", "arguments": {call.arguments}}}'
    for place, text in (
        ("in an envelope", f"<tool_call>\n{body}\n</tool_call>"),
        ("bare", body),
    ):
        answer = replace(good.chosen, parts=(Part(kind="text", text=text),))
        yield from spoilt(good, place, "CHOSEN_FAILS", answer)


def empty_chosen(good: Good) -> Made:
    for place, parts in (("nothing", ()), ("white space", (Part(kind="text", text=" \n"),))):
        answer = replace(good.chosen, parts=parts, finish_reason="stop")
        yield from spoilt(good, place, "CHOSEN_FAILS", answer)


def cut_chosen(good: Good) -> Made:
    for reason in ("length", "max_tokens", "content_filter"):
        want = "CHOSEN_FAILS"
        answer = replace(good.chosen, finish_reason=reason)
        if reason != "content_filter":
            yield from spoilt(good, reason, want, answer)


def leaked_token(good: Good) -> Made:
    for token in ("<|im_end|>", "<|eot_id|>", "[INST]", "<end_of_turn>"):
        answer = with_text(good.chosen, f"Done.{token}")
        yield from spoilt(good, token, "CHOSEN_FAILS", answer)


def looped_chosen(good: Good) -> Made:
    for place, unit in (("words", "and so it goes on "), ("lines", "- the next item\n")):
        yield from spoilt(good, place, "CHOSEN_LOOP", with_text(good.chosen, unit * 40))


def repeated_calls(good: Good) -> Made:
    if first_call(good.chosen):
        calls = tuple(
            replace(p, call=replace(p.call, index=n, id=f"c{n}"))
            for n in range(6)
            for p in good.chosen.parts
            if p.call is not None
        )
        yield from spoilt(good, "six times", "CHOSEN_LOOP", replace(good.chosen, parts=calls))


def flooded(good: Good) -> Made:
    call = first_call(good.chosen)
    if call is not None and arguments_of(good.chosen):
        text = call.arguments.rstrip()[:-1] + " " * 400 + "}"
        yield from changed(good, "arguments", "CHOSEN_LOOP", text)


# --- how pairs are spoilt ----------------------------------------------------------------------


def same_sides(good: Good) -> Made:
    rejected = good.rejected
    spaced = with_text(rejected, "  \n") if rejected.calls else rejected
    thought = replace(rejected, parts=(Part(kind="reasoning", text="Hm."), *rejected.parts))
    for place, chosen in (
        ("byte for byte", rejected),
        ("but for white space", spaced),
        ("but for the reasoning", thought),
        ("but for the model", replace(rejected, model="other", finish_reason="stop")),
    ):
        yield from spoilt(good, place, "SAME_SIDES", chosen)


def swapped(good: Good) -> Made:
    def make() -> tuple[Desk, Candidate, tuple[Candidate, ...]]:
        candidate = candidate_of(good, chosen=good.rejected, rejected=good.chosen)
        return desk_of(good), candidate, ()

    yield "both sides", "REJECTED_CLEAN", make


def clean_rejected(good: Good) -> Made:
    if first_call(good.chosen):
        right = with_text(good.chosen, "Let me do that.")
        candidate = candidate_of(good, rejected=right)
        yield "a right answer", "REJECTED_CLEAN", lambda: (desk_of(good), candidate, ())


_SECRETS = {
    "cloud key": "AKIA" + "Z7Q2M4X6B8N1V3C5",
    "code host token": "ghp_" + "a8Kd93mXq27LzP0vT5yRb41nWc6Jf8Gh2Se7",
    "password in a URL": "https://bob:" + "Xy7pQ2mN9k@" + "example.org/x",
    "bearer": "Bearer " + "eK39dLq02mXv81zPt57RbnWc6Jf",
}


def secret(good: Good) -> Made:
    for place, text in _SECRETS.items():
        answer = with_text(good.chosen, f"Using {text} for this.")
        yield from spoilt(good, f"{place} in the text", "SECRET", answer)
    given = arguments_of(good.chosen)
    name = _free_text(good)
    if name is not None:
        for place, text in _SECRETS.items():
            arguments = {**given, name: text}
            yield from changed(good, f"{place} in {name}", "SECRET", arguments)


def placeholder(good: Good) -> Made:
    for mark in ("[REDACTED]", "<redacted>", "[REDACTED:email]", "key=***"):
        answer = with_text(good.chosen, f"I use {mark} here.")
        yield from spoilt(good, f"{mark} in the text", "PLACEHOLDER", answer)
    name = _free_text(good)
    if name is not None:
        for mark in ("[REDACTED]", "[MASKED]"):
            arguments = {**arguments_of(good.chosen), name: mark}
            yield from changed(good, f"{mark} in {name}", "PLACEHOLDER", arguments)


def _free_text(good: Good) -> str | None:
    """A text argument that may hold any text."""
    given = arguments_of(good.chosen)
    free = {"type", "description", "title"}
    return next(
        (
            name
            for name, schema in schema_of(good).get("properties", {}).items()
            if name in given and schema.get("type") == "string" and set(schema) <= free
        ),
        None,
    )


def control_token(good: Good) -> Made:
    for at, message in enumerate(good.session.messages[: good.step]):
        for token in ("<|im_end|>", "<|start_header_id|>"):
            if message.role == "tool":
                result = message.results[0]
                other = replace(result, text=f"{result.text} {token}")
                parts = tuple(
                    replace(p, result=other) if p.result == result else p for p in message.parts
                )
            else:
                parts = (*message.parts, Part(kind="text", text=f" {token}"))
            spoilt_message = replace(message, parts=parts)
            yield (
                f"{token} in message {at} ({message.role})",
                "CONTROL_TOKEN",
                _in_prompt(good, at, spoilt_message),
            )


def _in_prompt(
    good: Good, at: int, message: Message, **more: Any
) -> Callable[[], tuple[Desk, Candidate, tuple[Candidate, ...]]]:
    def make() -> tuple[Desk, Candidate, tuple[Candidate, ...]]:
        messages = list(good.session.messages)
        messages[at] = message
        session = replace(good.session, messages=tuple(messages))
        other = replace(good, session=session)
        return desk_of(other, **more), candidate_of(other), ()

    return make


def image(good: Good) -> Made:
    picture = Part(kind="image", text="page.png")
    for at, message in enumerate(good.session.messages[: good.step]):
        if message.role == "user":
            with_image = replace(message, parts=(*message.parts, picture))
            yield f"in message {at}", "UNFIT_PROMPT", _in_prompt(good, at, with_image)


def empty_prompt(good: Good) -> Made:
    session = replace(good.session, messages=good.session.messages[good.step :])
    other = replace(good, session=session, step=0)
    yield "no message", "UNFIT_PROMPT", lambda: (desk_of(other), candidate_of(other), ())


def held_out(good: Good) -> Made:
    name = good.session.id

    def itself() -> tuple[Desk, Candidate, tuple[Candidate, ...]]:
        split = mine.Split(part={name: "heldout"}, family={name: "f"})
        return desk_of(good, split=split), candidate_of(good), ()

    def twin() -> tuple[Desk, Candidate, tuple[Candidate, ...]]:
        copy = replace(good.session, id="twin")
        parts = {name: "train", "twin": "heldout"}
        split = mine.Split(part=parts, family={name: "f", "twin": "g"})
        return desk_of(good, copy, split=split), candidate_of(good), ()

    yield "the session itself", "HELDOUT_PROMPT", itself
    yield "an equal prompt", "HELDOUT_PROMPT", twin


def torn_family(good: Good) -> Made:
    def make() -> tuple[Desk, Candidate, tuple[Candidate, ...]]:
        ask = Message(role="user", parts=(Part(kind="text", text="Something else entirely."),))
        other = replace(good.session, id="other", messages=(ask,))
        parts = {good.session.id: "train", "other": "heldout"}
        split = mine.Split(part=parts, family=dict.fromkeys(parts, "one"))
        return desk_of(good, other, split=split), candidate_of(good), ()

    yield "another session of it", "FAMILY_SPLIT", make


def other_tool(good: Good) -> Made:
    """Another offered tool called in a valid way, against a fault in the arguments of this one."""
    call, failed = first_call(good.chosen), first_call(good.rejected)
    context = good.session.context_of(good.step)
    names = {tool.name for tool in context.tools}
    if call is None or failed is None or failed.name not in names:
        return
    for tool in context.tools:
        arguments = _valid(json.loads(tool.parameters or "{}"))
        if tool.name != failed.name and arguments is not None:
            other = replace(call, name=tool.name, arguments=json.dumps(arguments))
            parts = (Part(kind="call", call=other),)
            yield from spoilt(good, tool.name, "OTHER_TOOL", replace(good.chosen, parts=parts))


def _valid(schema: dict[str, Any]) -> dict[str, Any] | None:
    """Arguments that meet a plain schema; None where that takes more than examples."""
    made: dict[str, Any] = {}
    for name in schema.get("required", ()):
        one = schema.get("properties", {}).get(name, {})
        if "enum" in one:
            made[name] = one["enum"][0]
        elif "pattern" in one or "format" in one or "minLength" in one:
            return None
        elif one.get("type") in ("integer", "number"):
            made[name] = one.get("minimum", one.get("maximum", 3))
        elif one.get("type") == "string":
            made[name] = "office"
        else:
            return None
    return made


def against_reference(good: Good) -> Made:
    """A gold answer that calls another tool."""
    if not first_call(good.chosen):
        return

    def make() -> tuple[Desk, Candidate, tuple[Candidate, ...]]:
        gold = ToolCall(name="another_tool", arguments="{}")
        answer = Message(role="assistant", parts=(Part(kind="call", call=gold),))
        reference = Reference(key=("id", f"{good.session.id}#{good.step}"), answer=answer)
        return desk_of(good, references=(reference,)), candidate_of(good), ()

    yield "a gold answer", "DIFFERENT_TOOL", make


def learned_later(good: Good) -> Made:
    """A value that only the error after the failure told."""
    name = _free_text(good)
    if name is None or not first_call(good.chosen):
        return
    for place, value in (("an id", "QX-4471-B"), ("a name", "Marigold Annex")):
        told = ToolResult(text=f"Error: use {value} instead", name="t", call_id="c1", is_error=True)
        back = Message(role="tool", parts=(Part(kind="result", result=told),))
        chosen = with_arguments(good.chosen, json.dumps({**arguments_of(good.chosen), name: value}))
        session = replace(good.session, messages=(*good.session.messages, back))
        other = replace(good, session=session)
        retried = (good.prompt, good.step + 2)
        candidate = candidate_of(other, chosen=chosen, source="retry", retried=retried)

        def make(
            other: Good = other, candidate: Candidate = candidate
        ) -> tuple[Desk, Candidate, tuple[Candidate, ...]]:
            return desk_of(other), candidate, ()

        yield f"{place} in {name}", "LEARNED_LATER", make


def failed_task(good: Good) -> Made:
    candidate = candidate_of(good, vetoed="the session failed its task (reward 0)")
    yield "the chosen side's session", "FAILED_TASK", lambda: (desk_of(good), candidate, ())


def ambiguous(good: Good) -> Made:
    """The log judged an equal answer to an equal prompt the other way round."""
    name = "twin"
    for place, answer, state in (
        ("the chosen side failed elsewhere", good.chosen, "fail"),
        ("the rejected side passed elsewhere", good.rejected, "pass"),
    ):
        messages = (*good.session.messages[: good.step], _asked_as(good, answer))
        twin = replace(good.session, id=name, messages=messages)
        told = Verdict(session=name, step=good.step, state=state, score=float(state == "pass"))
        blamed = Finding(
            session=name, step=good.step, code="TOOL_ERROR", level="defect", channel="arguments"
        )

        def make(
            twin: Session = twin, told: Verdict = told, blamed: Finding = blamed
        ) -> tuple[Desk, Candidate, tuple[Candidate, ...]]:
            at = (name, good.step)
            desk = desk_of(good, twin, verdicts={at: told})
            if told.state == "fail":
                desk.corpus.findings[at] = (blamed,)  # type: ignore[index]
            return desk, candidate_of(good), ()

        yield place, "AMBIGUOUS", make


def _asked_as(good: Good, answer: Message) -> Message:
    return replace(answer, context=good.session.messages[good.step].context)


def no_margin(good: Good) -> Made:
    """A score that is no better than the margin that is asked for, at two settings."""
    for least in (0.995, 0.999):
        config = replace(CONFIG, min_margin=least)
        desk = desk_of(good, config=config)
        if margin(draft(desk, candidate_of(good))) <= least:
            yield f"below {least}", "NO_MARGIN", lambda desk=desk: (desk, candidate_of(good), ())


def unjudged(good: Good) -> Made:
    """Nothing is known of the tools, and the log has no verdict on the chosen side."""
    contexts = tuple(
        replace(c, tools=(), response_schema=None, json_mode=False) for c in good.session.contexts
    )
    other = replace(good, session=replace(good.session, contexts=contexts), vouched=False)
    wrong = Finding(
        session=other.session.id,
        step=other.step,
        code="TOOL_ERROR",
        level="defect",
        channel="arguments",
        call=0,
    )
    candidate = candidate_of(other, wrong=(wrong,))
    if first_call(good.chosen):
        yield "no schema", "UNJUDGED", lambda: (desk_of(other), candidate, ())


def _refused_by_tool(good: Good, call: ToolCall) -> Finding:
    return Finding(
        session=good.session.id,
        step=good.step,
        code="TOOL_ERROR",
        level="defect",
        channel="arguments",
        call=call.index,
    )


def kept_fault(good: Good) -> Made:
    """The chosen side does it right, and does the failed thing too."""
    failed = good.rejected.text
    if first_call(good.chosen) and "<tool_call>" in failed and not good.rejected.calls:
        chosen = with_text(good.chosen, failed)
        yield from spoilt(good, "the call as text beside the call", "KEEPS_FAULT", chosen)
    call = first_call(good.rejected)
    if call is None or not first_call(good.chosen):
        return
    right = first_call(good.chosen)
    again = replace(good.chosen, parts=(*good.chosen.parts, Part(kind="text", text="Again.")))
    both = candidate_of(
        good,
        chosen=again,
        rejected=replace(good.chosen, parts=(Part(kind="call", call=right),)),
        wrong=(_refused_by_tool(good, right),),
    )
    yield "the very call that failed", "KEEPS_FAULT", lambda: (desk_of(good), both, ())


def lopsided(good: Good) -> Made:
    """A chosen side with a page of prose before its call, none of it repeated."""
    words = " ".join(content_id(good.id, str(n))[:7] + " stands" * (n % 3 == 0) for n in range(900))
    yield from spoilt(good, "a page before it", "LENGTH_RATIO", with_text(good.chosen, words))


class Letters:
    """A template in which every character is a token."""

    def answer_ids(self, answer: Message, end: bool = True) -> list[int]:
        text = answer.text + "".join(call.name + call.arguments for call in answer.calls)
        return [*map(ord, text), *([0] if end else ())]

    def prompt_ids(self, messages: Sequence[Message], context: Any) -> list[int]:
        texts = (
            m.text
            + "".join(c.name + c.arguments for c in m.calls)
            + "".join(r.text for r in m.results)
            for m in messages
        )
        return [ord(c) for text in texts for c in text + "\n"]

    def control_in(self, text: str) -> str | None:
        return "<|im_end|>" if "<|im_end|>" in text else None


class Deaf(Letters):
    """A template that renders every answer alike."""

    def answer_ids(self, answer: Message, end: bool = True) -> list[int]:
        return [1, 2, 3]


def _sized(good: Good, *, prompt: int, whole: int, **more: Any) -> Desk:
    budget = Budget(max_prompt=prompt, max_length=whole)
    return desk_of(good, template=Letters(), budget=budget, **more)


def _size(good: Good) -> int:
    messages = good.session.messages[: good.step]
    return len(Letters().prompt_ids(messages, None))


def after_template(good: Good) -> Made:
    yield (
        "one rendering",
        "SAME_SIDES",
        lambda: (
            desk_of(good, template=Deaf()),
            candidate_of(good),
            (),
        ),
    )


def too_long(good: Good) -> Made:
    """A model whose room ends one token before the end of the prompt, or of a side."""
    prompt = _size(good)
    chosen = len(Letters().answer_ids(good.chosen))
    rejected = len(Letters().answer_ids(good.rejected))
    system = sum(m.role == "system" for m in good.session.messages[: good.step])
    if good.step <= system + 1:
        yield (
            "the prompt, which has no middle",
            "PROMPT_LONG",
            lambda: (
                _sized(good, prompt=prompt - 1, whole=prompt * 9),
                candidate_of(good),
                (),
            ),
        )
    yield (
        "the chosen side",
        "CHOSEN_LONG",
        lambda: (
            _sized(good, prompt=prompt, whole=prompt + chosen - 1),
            candidate_of(good),
            (),
        ),
    )
    if rejected > chosen + 1:
        yield (
            "the rejected side",
            "REJECTED_LONG",
            lambda: (
                _sized(good, prompt=prompt, whole=prompt + chosen),
                candidate_of(good),
                (),
            ),
        )


def lost_value(good: Good) -> Made:
    """A value that stands in a turn that must be left out to make the prompt fit."""
    name = _free_text(good)
    if name is None or not first_call(good.chosen):
        return
    value = "QX-4471-B"
    head = good.session.messages[: good.step]
    if not head or head[-1].role != "user":
        return
    told = Message(
        role="assistant", parts=(Part(kind="text", text=f"It is {value}." + "." * 3000),)
    )
    ask = Message(role="user", parts=(Part(kind="text", text="Take that one, please."),))
    messages = (*head, told, ask, *good.session.messages[good.step :])
    step = good.step + 2
    other = replace(good, session=replace(good.session, messages=messages), step=step)
    chosen = with_arguments(good.chosen, json.dumps({**arguments_of(good.chosen), name: value}))
    size = _size(good) + 200
    yield (
        f"{name} from a turn in the middle",
        "LOST_VALUE",
        lambda: (
            _sized(other, prompt=size, whole=size * 9),
            candidate_of(other, chosen=chosen),
            (),
        ),
    )


def twice(good: Good) -> Made:
    same = candidate_of(good)
    yield "the very pair", "DUPLICATE", lambda: (desk_of(good), same, (same,))


def nearly_twice(good: Good) -> Made:
    """All but the pair before it: in the case, the spacing, or one letter of a long text."""
    call = first_call(good.rejected)
    first = candidate_of(good)
    if call is not None and len(call.arguments) >= 60:
        at = len(call.arguments) // 2
        text = call.arguments[:at] + "x" + call.arguments[at:]
        again = candidate_of(good, rejected=with_arguments(good.rejected, text), logged=None)
        yield (
            "a letter more in the rejected side",
            "NEAR_DUPLICATE",
            lambda: (
                desk_of(good),
                replace(again, logged=first.logged),
                (first,),
            ),
        )
    messages = good.session.messages[: good.step]
    at = next((i for i, m in enumerate(messages) if m.role == "user" and len(m.text) > 40), None)
    if at is not None:
        louder = replace(messages[at], parts=(Part(kind="text", text=messages[at].text + " "),))
        twin = replace(
            good.session,
            id="twin",
            messages=(*messages[:at], louder, *good.session.messages[at + 1 :]),
        )
        second = replace(first, prompt=Prompt(session="twin", step=good.step))
        yield (
            "a blank more in the prompt",
            "NEAR_DUPLICATE",
            lambda: (
                desk_of(good, twin),
                second,
                (first,),
            ),
        )


def crowded(good: Good) -> Made:
    """One pair more than the prompt or the family has room for."""
    first, second = candidate_of(good), candidate_of(good)
    call = first_call(good.rejected)
    if call is None or first_call(good.chosen) is None:
        return
    other = with_arguments(good.rejected, '{"something": "else altogether", "that": "is wrong"}')
    wrong = _refused_by_tool(good, call)
    second = replace(first, rejected=other, wrong=(wrong,))
    for place, want, config in (
        ("the prompt", "PROMPT_FULL", replace(CONFIG, max_pairs_per_prompt=1)),
        ("the family", "FAMILY_FULL", replace(CONFIG, max_pairs_per_family=1)),
    ):
        yield (
            place,
            want,
            lambda config=config: (desk_of(good, config=config), second, (first,)),
        )


KINDS: dict[str, Callable[[Good], Made]] = {
    "chosen: an argument is missing": missing_argument,
    "chosen: an argument too many": extra_argument,
    "chosen: wrong type": wrong_type,
    "chosen: not in the enum": out_of_enum,
    "chosen: out of range": out_of_range,
    "chosen: wrong format": bad_format,
    "chosen: null for a required argument": null_argument,
    "chosen: broken JSON": broken_json,
    "chosen: a key twice": key_twice,
    "chosen: JSON in JSON": twice_encoded,
    "chosen: unknown tool": unknown_tool,
    "chosen: the call as text": call_as_text,
    "chosen: empty": empty_chosen,
    "chosen: cut off": cut_chosen,
    "chosen: a control token": leaked_token,
    "chosen: a looping text": looped_chosen,
    "chosen: the same call again and again": repeated_calls,
    "chosen: a flood of white space": flooded,
    "chosen: a secret": secret,
    "chosen: the mark of a redaction": placeholder,
    "chosen: another tool": other_tool,
    "chosen: not what the reference calls": against_reference,
    "chosen: knows what came later": learned_later,
    "chosen: from a failed session": failed_task,
    "chosen: nobody could have failed it": unjudged,
    "chosen: keeps the fault": kept_fault,
    "chosen: many times as long": lopsided,
    "sides: the same": same_sides,
    "sides: the same after the template": after_template,
    "sides: swapped": swapped,
    "rejected: nothing wrong": clean_rejected,
    "pair: judged both ways by the log": ambiguous,
    "pair: too small a margin": no_margin,
    "prompt: a control token": control_token,
    "prompt: an image": image,
    "prompt: empty": empty_prompt,
    "prompt: held out": held_out,
    "family: on both sides of the split": torn_family,
    "length: over the budget": too_long,
    "length: the value was left out": lost_value,
    "set: the pair again": twice,
    "set: all but the pair again": nearly_twice,
    "set: more than its share": crowded,
}
"""Every way, by name."""


def spread(found: Iterable[Good], most: int) -> list[Good]:
    """At most so many, those with different tools and faults first, always the same."""
    seen: dict[tuple[str, ...], int] = {}
    ranked = []
    for good in sorted(found, key=lambda g: g.id):
        kind = tuple(sorted(c.name for c in (*good.chosen.calls, *good.rejected.calls)))
        seen[kind] = seen.get(kind, 0) + 1
        ranked.append((seen[kind], good.id, good))
    return [good for _, _, good in sorted(ranked, key=lambda r: r[:2])[:most]]
