"""OpenAI Agents SDK traces: `trace` and `trace.span` objects, as lines, lists or nested exports.

Kept: the input and output of generation spans, of response spans where an exporter kept them (also
as Python prints them), function spans with their error, agents within agents as sub-agents, the
trace's group as family. The names of an agent's tools and handoffs are known, their schemas not
(a response that was kept whole has them); function spans have no call id and meet their call by
name and argument text. Response spans as the SDK itself exports them hold no content.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from misstep.ingest.context import Contexts
from misstep.ingest.format import Format, Misfit, Peek, Record, Tally, share
from misstep.ingest.formats.openai_responses import flat
from misstep.ingest.messages import kind_of, number_or_none, place, text_or_none, usage_of
from misstep.ingest.spans import provider
from misstep.ingest.spans.agents_sdk import blame, fill, missing_tool, names_of
from misstep.ingest.spans.book import SpanBook
from misstep.ingest.spans.found import Agent, Other, Request, Run, Spot
from misstep.ingest.spans.history import Histories
from misstep.ingest.spans.known import first_said
from misstep.ingest.spans.reprs import from_repr
from misstep.ingest.spans.results import dumped, text_of
from misstep.ingest.spans.span import first, seconds
from misstep.types import Context, Message, Session

NAME = "openai-agents"
_HOLDERS = ("traces", "data", "spans")
_DEEPEST = 4
Entry = tuple[Mapping[str, Any], str]


def _entries(value: Any, at: str, depth: int = 0) -> Iterator[Entry | str]:
    """The traces and spans in one record; a pointer for what is neither."""
    if isinstance(value, list) and depth < _DEEPEST:
        for index, inner in enumerate(value):
            yield from _entries(inner, f"{at}/{index}", depth + 1)
        return
    if not isinstance(value, dict):
        yield at
        return
    marked = value.get("object") in ("trace", "trace.span")
    if marked:
        yield value, at
    held = next((key for key in _HOLDERS if isinstance(value.get(key), list)), None)
    if held is not None and depth < _DEEPEST:
        yield from _entries(value[held], f"{at}/{held}", depth + 1)
    elif not marked:
        yield at


class AgentsReader:
    """Reads the traces of one run."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._book = SpanBook(NAME, tally)
        self._histories = Histories()
        self._contexts = Contexts()
        self._groups: dict[str, str] = {}
        self._spots: list[Spot] = []
        self._requests: list[Request] = []
        self._agents: dict[tuple[str, str], Context] = {}
        self._missing: dict[tuple[str, str], tuple[str, str]] = {}

    def read(self, record: Record) -> None:
        """Take one record with all its traces and spans."""
        found = list(_entries(record.value, ""))
        self._tally.unfold(max(1, len(found)))
        if not found:
            self._tally.ignore("empty-export")
        bare = Record(value=None, origin=record.origin)
        for entry in found:
            if isinstance(entry, str):
                said = "neither a trace nor a span of the Agents SDK"
                self._tally.aside(record.at(place(record, entry)), "unknown-record", said)
            elif entry[0].get("object") == "trace":
                self._trace(entry[0])
            else:
                self._span(entry[0], _spot(entry, bare))

    def _trace(self, trace: Mapping[str, Any]) -> None:
        group = text_or_none(trace.get("group_id"))
        if group is not None:
            self._groups[str(trace.get("id"))] = group
        self._tally.ignore("trace")

    def _span(self, span: Mapping[str, Any], spot: Spot) -> None:
        if self._book.seen(spot):
            self._tally.ignore("repeated-span")
            return
        data = span.get("span_data")
        try:
            if not isinstance(data, dict):
                raise Misfit("/span_data", f"expected an object, got {kind_of(data)}")
            self._take(span, data, spot)
            self._spots.append(spot)
        except Misfit as misfit:
            origin = replace(spot.origin, pointer=(spot.origin.pointer or "") + misfit.pointer)
            self._tally.aside(origin, misfit.reason, misfit.said)
            self._book.pass_through(spot)

    def _take(self, span: Mapping[str, Any], data: Mapping[str, Any], spot: Spot) -> None:
        kind = data.get("type")
        missing = None if kind == "function" else missing_tool(span.get("error"))
        if missing is not None:
            self._missing[spot.key] = missing
        if kind in ("generation", "response"):
            request = self._request(span, data, spot)
            self._requests.append(request)
            self._book.take(request)
        elif kind == "function":
            self._book.take(_run(span, data, spot))
        elif kind == "agent":
            self._agents[spot.key] = names_of(data)
            self._book.take(Agent(spot=spot, name=str(data.get("name") or "")))
        else:
            self._book.take(Other(spot=spot, kind=_word(kind)))

    def _request(self, span: Mapping[str, Any], data: Mapping[str, Any], spot: Spot) -> Request:
        asked = first(data, "input")
        asked = span.get("span_data_input") if asked is None else asked
        back = _response(span, data)
        whole = back if isinstance(back, dict) else {}
        system = provider.system(whole.get("instructions"), self._histories)
        history = system + provider.history(asked, self._histories, "/span_data/input")
        answers = provider.answers(back, "/span_data/output")
        wrong = _trouble(span)
        if not any(answer.parts for answer in answers) and wrong is not None:
            answers = [Message(role="assistant", error=wrong)]
        return Request(
            spot=spot,
            history=history,
            answers=answers,
            context=self._offered(data, whole),
            model=text_or_none(first(data, "model")) or text_or_none(whole.get("model")),
            usage=usage_of(data.get("usage") or whole.get("usage")),
        )

    def _offered(self, data: Mapping[str, Any], whole: Mapping[str, Any]) -> Context:
        config = data.get("model_config")
        config = config if isinstance(config, dict) else {}
        tools = whole.get("tools")
        text = whole.get("text")
        form = text.get("format") if isinstance(text, dict) else None
        if isinstance(form, dict) and "schema_" in form:
            form = {**form, "schema": form["schema_"]}
        return self._contexts.of(
            {
                "tools": flat(tools) if isinstance(tools, list) else None,
                "tool_choice": first(config, "tool_choice") or whole.get("tool_choice"),
                "max_tokens": first(config, "max_tokens") or whole.get("max_output_tokens"),
                "temperature": number_or_none(first(config, "temperature")),
                "top_p": number_or_none(first(config, "top_p")),
                "response_format": form,
            }
        )

    def close_file(self) -> None:
        """A trace may go on in another file."""

    def finish(self) -> tuple[Session, ...]:
        """All conversations; only now is it known which agent asked, and in which group."""
        for spot in self._spots:
            spot.conversation = self._groups.get(spot.trace, "")
        last: dict[tuple[str, str], Request] = {}
        for request in sorted(self._requests, key=lambda request: request.spot.order):
            above = self._book.above(request.spot)
            last.update(dict.fromkeys(above, request))
            owner = next((key for key in above if key in self._agents), None)
            if owner is not None:
                fill(request, self._agents[owner])
        for key, (tool, said) in self._missing.items():
            if key in last:
                blame(last[key], tool, said)
        return self._book.finish()


def _spot(entry: Entry, record: Record) -> Spot:
    span, at = entry
    return Spot(
        trace=str(span.get("trace_id") or ""),
        id=str(span.get("id") or ""),
        parent=text_or_none(span.get("parent_id")),
        start=seconds(span.get("started_at")) or 0.0,
        time=seconds(span.get("ended_at")),
        record=record,
        pointer=at,
    )


def _word(kind: Any) -> str:
    known = ("handoff", "guardrail", "custom", "task", "turn", "mcp_tools", "speech")
    return kind if isinstance(kind, str) and kind in known else "other-span"


def _response(span: Mapping[str, Any], data: Mapping[str, Any]) -> Any:
    """The output as exporters keep it: in the span's data, beside it, or as Python prints it."""
    kept = first(data, "output", "response")
    kept = first(span, "response", "span_data_response") if kept is None else kept
    printed = from_repr(kept) if isinstance(kept, str) and kept.startswith("Response(") else None
    return kept if printed is None else printed


def _trouble(span: Mapping[str, Any]) -> str | None:
    error = span.get("error")
    if isinstance(error, str):
        return error or None
    if not isinstance(error, dict):
        return None
    message = text_or_none(error.get("message")) or "error"
    data = error.get("data")
    said = data.get("error") if isinstance(data, dict) else None
    return f"{message}: {dumped(said)}" if said else message


def _run(span: Mapping[str, Any], data: Mapping[str, Any], spot: Spot) -> Run:
    wrong = _trouble(span)
    given, back = data.get("input"), data.get("output")
    return Run(
        spot=spot,
        name=str(data.get("name") or ""),
        arguments=None if given is None else dumped(given),
        verbatim=isinstance(given, str),
        result=None if back is None else text_of(back),
        is_error=True if wrong is not None else None,
        hint=wrong,
    )


def _joins(value: Any, name: str) -> list[str]:
    found: dict[str, None] = {}
    for entry in _entries(value, ""):
        if isinstance(entry, str):
            continue
        thing = entry[0]
        trace = thing.get("id") if thing.get("object") == "trace" else thing.get("trace_id")
        if isinstance(trace, str):
            found[f"trace:{trace}"] = None
        if isinstance(thing.get("group_id"), str):
            found[f"group:{thing['group_id']}"] = None
        data = thing.get("span_data")
        asked = data.get("input") if isinstance(data, dict) else None
        if isinstance(asked, list):
            words = first_said(iter(asked))
            if words:
                found[f"words:{words[:200]}"] = None
    return list(found)


def _weigh(value: dict[str, Any]) -> float:
    for entry in _entries(value, ""):
        if isinstance(entry, tuple):
            thing = entry[0]
            return 1.0 if thing.get("object") == "trace" or "span_data" in thing else 0.3
    return 0.0


def sniff(peek: Peek) -> float:
    """Objects that say `trace` or `trace.span` of themselves."""
    return share(peek, _weigh)


def _reader(tally: Tally) -> AgentsReader:
    return AgentsReader(tally)


FORMAT = Format(
    name=NAME,
    about="OpenAI Agents SDK traces; tool names without schemas, no call ids on tool runs",
    unit="span",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
    joins=_joins,
)
