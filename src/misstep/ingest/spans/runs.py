"""Runs of tools, put beside the calls that a model made.

A run tells what the history of a later request cannot: whether the result was an error. It also
holds the results that no later request quotes. Runs meet calls by call id, else by name and
arguments within their trace, else by name in the order of time. Where no request of a trace was
captured, its runs alone make a session: calls with their results, and nothing between them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import orjson
from msgspec.structs import replace

from misstep.ingest.build import linear
from misstep.ingest.spans.found import Agent, Request, Run, Spot, Tree
from misstep.ingest.tree import Node, plant
from misstep.types import Context, Message, Part, Session, ToolCall, ToolResult

Key = tuple[str, str]


class Runs:
    """The tool runs of all traces."""

    def __init__(self, runs: list[Run], tree: Tree) -> None:
        names = {run.spot.key: run.name for run in runs}
        wraps = {key for r in runs for key in tree.above(r.spot) if names.get(key) == r.name}
        self._runs = [run for run in runs if run.spot.key not in wraps]
        self.unused = len(runs) - len(self._runs)
        self.used = 0
        self._tree = tree
        self._callers: dict[Key, Node] = {}
        """The answer that made the call, by the run's span."""
        self._traces: set[str] = set()

    def match(self, known: list[tuple[Request, Node]]) -> None:
        """Put runs beside the calls of these requests."""
        desk = _Calls(self._runs)
        claimed: set[int] = set()
        for request, node in known:
            self._traces.add(request.spot.trace)
            path: list[Node] = []
            at: Node | None = node
            while at is not None and id(at) not in claimed:
                claimed.add(id(at))
                path.append(at)
                at = at.up
            for fresh in reversed(path):
                if fresh.message.role == "assistant" and fresh.message.calls:
                    self._meet(fresh, request.spot, desk)
        for run in self._runs:
            self.used += run.spot.key in self._callers

    def _meet(self, node: Node, spot: Spot, desk: _Calls) -> None:
        met = {}
        for call in node.message.calls:
            run = desk.take(call, spot)
            if run is not None:
                met[call.index] = run
                self._callers[run.spot.key] = node
        if not met:
            return
        told = _mark(node, met)
        rest = [(node.message.calls[i], run) for i, run in met.items() if i not in told]
        if rest and not node.down:
            results = tuple(_result_part(call, run) for call, run in rest)
            last = rest[-1][1].spot
            plant(Message(role="tool", parts=results, time=last.time, origins=(last.origin,)), node)

    def caller(self, spot: Spot) -> Node | None:
        """The answer whose call runs above this span."""
        above = self._tree.above(spot)
        return next((self._callers[key] for key in above if key in self._callers), None)

    def alone(self, agents: set[Key]) -> list[Run]:
        """Runs that an agent's model must have asked for, in traces that tell of no request.

        A run of a call that another trace of the same conversation ran as well is a copy.
        """
        met = {_known(run) for run in self._runs if run.spot.key in self._callers}
        found = []
        for run in self._runs:
            if run.spot.key in self._callers:
                continue
            if run.call_id is not None and _known(run) in met:
                self.used += 1
                continue
            asked = run.call_id is not None or any(k in agents for k in self._tree.above(run.spot))
            if asked and run.arguments is not None and run.spot.trace not in self._traces:
                found.append(run)
                self.used += 1
            else:
                self.unused += 1
        return found


def _known(run: Run) -> tuple[str | None, str, str]:
    return (run.call_id, run.name, canonical(run.arguments or ""))


def _fits(run: Run, call: ToolCall) -> bool:
    """Whether a run of another trace is that of a call; ids are not always unique."""
    if run.name != call.name:
        return False
    return run.arguments is None or canonical(run.arguments) == canonical(call.arguments)


class _Calls:
    """Runs that wait for their call."""

    def __init__(self, runs: list[Run]) -> None:
        self._by_id: dict[str, list[Run]] = defaultdict(list)
        self._by_text: dict[tuple[str, str, str], list[Run]] = defaultdict(list)
        self._by_name: dict[tuple[str, str], list[Run]] = defaultdict(list)
        self._taken: set[int] = set()
        for run in runs:
            if run.call_id is not None:
                self._by_id[run.call_id].append(run)
            else:
                text = canonical(run.arguments or "")
                self._by_text[run.spot.trace, run.name, text].append(run)
                self._by_name[run.spot.trace, run.name].append(run)

    def take(self, call: ToolCall, spot: Spot) -> Run | None:
        """The run of one call, each once."""
        same = [r for r in self._by_id.get(call.id or "", ()) if id(r) not in self._taken]
        if same:
            run = next((r for r in same if r.spot.trace == spot.trace), None)
            run = run or next((r for r in same if _fits(r, call)), None)
        else:
            text = canonical(call.arguments)
            run = self._free(self._by_text.get((spot.trace, call.name, text)), spot)
            run = run or self._free(self._by_name.get((spot.trace, call.name)), spot)
        if run is not None:
            self._taken.add(id(run))
        return run

    def _free(self, runs: list[Run] | None, spot: Spot) -> Run | None:
        later = (r for r in runs or () if r.spot.start >= spot.start)
        return next((run for run in later if id(run) not in self._taken), None)


def canonical(arguments: str) -> str:
    """Argument text with its keys sorted and its blanks left out, if it is JSON."""
    try:
        return orjson.dumps(orjson.loads(arguments), option=orjson.OPT_SORT_KEYS).decode()
    except (orjson.JSONDecodeError, TypeError):
        return arguments.strip()


def _mark(node: Node, met: Mapping[int, Run]) -> set[int]:
    """Gives the results below an answer what their runs tell; the calls that have a result."""
    calls = node.message.calls
    ids = {call.id: call.index for call in calls if call.id is not None}
    told: set[int] = set()
    stack = list(node.down)
    while stack:
        below = stack.pop()
        if below.message.role != "tool":
            continue
        parts, at = [], 0
        for part in below.message.parts:
            result = part.result
            if result is None:
                parts.append(part)
                continue
            index = ids.get(result.call_id) if result.call_id is not None else None
            if index is None and result.call_id is None:
                index = next((i for i in range(at, len(calls)) if i not in told), None)
            if index is not None:
                told.add(index)
                if index in met:
                    result = _with_status(result, met[index], calls[index].name)
            parts.append(Part(kind="result", result=result))
        below.message = replace(below.message, parts=tuple(parts))
        stack.extend(below.down)
    return told


def _with_status(result: ToolResult, run: Run, name: str) -> ToolResult:
    return replace(
        result,
        name=result.name or name,
        is_error=run.is_error if result.is_error is None else result.is_error,
        hint=result.hint or run.hint,
        cause=result.cause or run.cause,
    )


def _result_part(call: ToolCall, run: Run) -> Part:
    return Part(
        kind="result",
        result=ToolResult(
            text=run.result if run.result is not None else run.hint or "",
            call_id=call.id,
            name=call.name,
            is_error=run.is_error,
            hint=run.hint,
            cause=run.cause,
        ),
    )


def told_by_runs(
    format_name: str, runs: list[Run], agents: Mapping[Key, Agent], tree: Tree
) -> list[Session]:
    """Sessions of traces whose requests were not captured: the calls that tools ran, in order."""
    groups: dict[Key, list[Run]] = defaultdict(list)
    for run in runs:
        owner = next((key for key in tree.above(run.spot) if key in agents), (run.spot.trace, ""))
        groups[owner].append(run)
    sessions = []
    for owner, group in groups.items():
        model = agents[owner].model if owner in agents else None
        named = next((run.spot.conversation for run in group if run.spot.conversation), "")
        messages = [message for run in group for message in _told(run, model)]
        family = named or group[0].spot.trace
        sessions.append(linear(format_name, messages, contexts=Context(), family=family))
    return sessions


def _told(run: Run, model: str | None) -> list[Message]:
    spot = run.spot
    origins = (spot.origin,)
    call = ToolCall(
        name=run.name, arguments=run.arguments or "", id=run.call_id, verbatim=run.verbatim
    )
    asked = Message(
        role="assistant",
        parts=(Part(kind="call", call=call),),
        actor="agent",
        model=model,
        time=spot.start or None,
        origins=origins,
    )
    if run.result is None and run.hint is None:
        return [asked]
    back = Message(role="tool", parts=(_result_part(call, run),), time=spot.time, origins=origins)
    return [asked, back]
