"""Spans of all traces to sessions, whatever convention they came in.

In: requests, tool runs, agents and other spans, in any order. Out: sessions. All is joined at the
end, in the order of time: requests by the history that they repeat (`threads`), tool runs by call
id or by name and arguments, agents by the tree of spans. A span that wraps another one of the same
kind is left out; so is an agent whose requests are known one by one.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from misstep.ingest.format import Tally
from misstep.ingest.identity import message_key
from misstep.ingest.spans.found import Agent, Finding, Request, Run, Spot, Tree
from misstep.ingest.spans.history import Keyed
from misstep.ingest.spans.runs import Runs, canonical, told_by_runs
from misstep.ingest.threads import Threads, Turn
from misstep.ingest.tree import Node, path_to
from misstep.types import Actor, Message, Outcome, Role, Session, ToolSpec

Key = tuple[str, str]


class SpanBook:
    """Gathers what the spans of one format are, and joins it."""

    def __init__(self, format_name: str, tally: Tally) -> None:
        self._format = format_name
        self._tally = tally
        self._tree = Tree()
        self._requests: list[Request] = []
        self._runs: list[Run] = []
        self._bare: dict[Key, Request] = {}
        self._whole: dict[Spoken, Keyed] = {}
        self._agents: dict[Key, Agent] = {}
        self.outcomes: dict[str, Outcome] = {}
        """How a trace or a conversation ended, by its id."""

    def seen(self, spot: Spot) -> bool:
        """Whether a span of this id was taken before; an export that is repeated repeats it."""
        return bool(spot.id) and spot.key in self._tree.parents

    def take(self, found: Finding) -> None:
        """Take one span; it is accounted for at once or at the end."""
        spot = found.spot
        if self.seen(spot):
            self._tally.ignore("repeated-span")
            return
        if spot.id:
            self._tree.parents[spot.key] = spot.parent
        if isinstance(found, Request):
            self._requests.append(found)
            if not found.told:
                self._bare[spot.key] = found
        elif isinstance(found, Run):
            self._runs.append(found)
        elif isinstance(found, Agent):
            key = spot.key if spot.id else (spot.trace, f"#{len(self._agents)}")
            self._agents[key] = found
        else:
            self._tally.ignore(found.kind)

    def bare(self, key: Key) -> Request | None:
        """The request of this span, if its own span holds no content."""
        return self._bare.get(key)

    def knows(self, key: Key) -> bool:
        """Whether a span of this key was taken."""
        return key in self._tree.parents

    def above(self, spot: Spot) -> list[Key]:
        """The spans above one, nearest first, as far as they are known by now."""
        return self._tree.above(spot)

    def pass_through(self, spot: Spot) -> None:
        """A span that is accounted for, but may still stand between two others."""
        if spot.id:
            self._tree.parents.setdefault(spot.key, spot.parent)

    def finish(self) -> tuple[Session, ...]:
        """All conversations."""
        requests = self._chosen()
        self._whole = _by_calls(requests)
        threads = Threads(self._format)
        placed = [(request, self._add(threads, request)) for request in requests]
        known = [(request, node) for request, node in placed if node is not None]
        runs = Runs(sorted(self._runs, key=lambda run: run.spot.order), self._tree)
        runs.match(known)
        _families(known, self.outcomes)
        self._offer(known)
        self._sub_agents(known, runs)
        sessions = threads.sessions()
        alone = told_by_runs(self._format, runs.alone(set(self._agents)), self._agents, self._tree)
        self._tally.use(runs.used)
        if runs.unused:
            self._tally.ignore("tool-run", runs.unused)
        return (*sessions, *alone)

    def _chosen(self) -> list[Request]:
        """Requests with content, in order; wrappers and agents that only repeat them left out."""
        told = [request for request in self._requests if request.told]
        silent = len(self._requests) - len(told)
        if silent:
            self._tally.ignore("no-content", silent)
        wraps = {key for request in told for key in self._tree.above(request.spot)}
        chosen = [request for request in told if request.spot.key not in wraps]
        if len(told) > len(chosen):
            self._tally.ignore("wrapper", len(told) - len(chosen))
        for key, agent in self._agents.items():
            if agent.request is not None and agent.request.told and key not in wraps:
                chosen.append(agent.request)
            else:
                self._tally.ignore("agent")
        return sorted(chosen, key=lambda request: request.spot.order)

    def _add(self, threads: Threads, request: Request) -> Node | None:
        spot = request.spot
        if not request.answers and not any(m.role == "assistant" for m, _ in request.history):
            self._tally.aside(spot.origin, "no-answer", "a request without an answer")
            return None
        self._tally.use()
        row = spot.id or None
        history = [
            Turn(*self._told(message, key, spot), spot.pointer, row)
            for message, key in request.history
        ]
        answers = [
            replace(
                answer,
                actor=answer.actor or "agent",
                model=answer.model or request.model,
                time=answer.time or spot.time,
                usage=request.usage if index == 0 else None,
                origins=(spot.origin,),
            )
            for index, answer in enumerate(request.answers)
        ]
        context = request.context
        bracket = self._agents.get((spot.trace, spot.parent or ""))
        if bracket is not None and bracket.schema and context.response_schema is None:
            context = replace(context, response_schema=bracket.schema)
        return threads.add(spot.record, history, answers=answers, context=context)

    def _offer(self, known: list[tuple[Request, Node]]) -> None:
        """Tools that a library leaves out of its list, though it ran them: agents, most often."""
        names: dict[str, set[str]] = {}
        for run in self._runs:
            if run.is_error is not True:
                names.setdefault(run.spot.trace, set()).add(run.name)
        for agent in self._agents.values():
            names.setdefault(agent.spot.trace, set()).add(agent.name)
        for request, node in known:
            context = node.context
            if context is None or not context.tools:
                continue
            offered = {tool.name for tool in context.tools}
            ran = names.get(request.spot.trace, set())
            more = {call.name for call in node.message.calls if call.name in ran} - offered
            if more:
                added = tuple(ToolSpec(name=name) for name in sorted(more))
                node.context = replace(context, tools=context.tools + added)

    def _told(self, message: Message, key: bytes, spot: Spot) -> Keyed:
        """The answer itself, where a history repeats its calls and leaves out its words."""
        if message.role == "assistant" and message.calls and self._whole and not message.text:
            for scope in _scopes(spot):
                spoken = _spoken(message, scope)
                if spoken is not None and spoken in self._whole:
                    return self._whole[spoken]
        return message, key

    def _sub_agents(self, known: list[tuple[Request, Node]], runs: Runs) -> None:
        """Marks the conversations of agents that another agent started."""
        owner = {request.spot.key: self._agents_above(request.spot) for request, _ in known}
        direct: dict[Key, list[tuple[Request, Node]]] = {}
        for request, node in known:
            if owner[request.spot.key]:
                direct.setdefault(owner[request.spot.key][0], []).append((request, node))
        for request, node in known:
            chain = owner[request.spot.key]
            outer = next((key for key in chain[1:] if key in direct), None)
            if outer is None:
                continue
            nodes = {id(above) for _, above in direct[outer]}
            path = path_to(node)
            if not any(id(at) in nodes for at in path):
                _as_sub_agent(path)
                node.start = runs.caller(request.spot) or _before(direct[outer], request.spot)
                if node.start is not None and node.start.family:
                    _inherit([node], node.start.family)

    def _agents_above(self, spot: Spot) -> list[Key]:
        return [key for key in self._tree.above(spot) if key in self._agents]


Spoken = tuple[str, tuple[tuple[str, str, str], ...]]


def _spoken(message: Message, scope: str) -> Spoken | None:
    """The calls of an answer, each with its id, in one trace or conversation."""
    calls = tuple((c.id, c.name, canonical(c.arguments)) for c in message.calls if c.id is not None)
    return (scope, calls) if calls and len(calls) == len(message.calls) else None


def _scopes(spot: Spot) -> tuple[str, ...]:
    return (spot.trace, spot.conversation) if spot.conversation else (spot.trace,)


def _by_calls(requests: Iterable[Request]) -> dict[Spoken, Keyed]:
    """Answers that say something beside their calls, by these."""
    found: dict[Spoken, Keyed] = {}
    for request in requests:
        for answer in request.answers:
            if answer.calls and answer.text:
                kept = (answer, message_key(answer))
                for scope in _scopes(request.spot):
                    key = _spoken(answer, scope)
                    if key is not None:
                        found.setdefault(key, kept)
    return found


def _before(requests: Iterable[tuple[Request, Node]], spot: Spot) -> Node | None:
    """The last answer of the agent above before this one began."""
    earlier = [node for request, node in requests if request.spot.start <= spot.start]
    return earlier[-1] if earlier else None


_ACTORS: dict[Role, Actor] = {"assistant": "sub-agent", "user": "harness"}


def _as_sub_agent(path: Iterable[Node]) -> None:
    for node in path:
        if node.message.actor in (None, "agent"):
            node.message = replace(node.message, actor=_ACTORS.get(node.message.role))


def _families(known: list[tuple[Request, Node]], outcomes: dict[str, Outcome]) -> None:
    """The conversation that is named nearest, else the trace in which it began; the outcome."""
    named: dict[int, str] = {}
    for request, node in known:
        spot = request.spot
        node.outcome = node.outcome or outcomes.get(spot.conversation) or outcomes.get(spot.trace)
        named.setdefault(id(node), spot.conversation)
    for request, node in known:
        path = path_to(node)
        family = next((named[id(n)] for n in reversed(path) if named.get(id(n))), "")
        began = next((n.family for n in path if n.family), "")
        node.family = family or began or request.spot.trace
        if not any(id(below) in named for below in node.down):
            _inherit(list(node.down), node.family)


def _inherit(stack: list[Node], family: str) -> None:
    while stack:
        node = stack.pop()
        node.family = family
        stack.extend(node.down)
