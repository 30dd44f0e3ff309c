"""The runs of a trace, joined to conversations.

In: `Runs`. Out: sessions. Every model call repeats the history, so the calls are joined by it
(`threads`). What a call's input does not hold comes from the runs beside it: the results of tools
that ran after the last answer, and the whole history where a tracer logged none. A model call
inside another one is the same request seen twice and counts once. Model calls below a tool's run,
or below an agent that another agent's run holds, are a sub-agent's: a conversation of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from msgspec.structs import replace

from misstep.ingest.format import Record, Tally
from misstep.ingest.identity import message_key
from misstep.ingest.messages import place
from misstep.ingest.threads import Threads, Turn
from misstep.ingest.traces.framework_parts import numbered
from misstep.ingest.traces.traced import Run, Runs
from misstep.ingest.traces.traced_tools import ToolRuns
from misstep.ingest.tree import Node
from misstep.types import Message, Outcome, Part, Session


def conversations(name: str, runs: Runs, tally: Tally) -> tuple[Session, ...]:
    """The sessions of all traces; each run is now accounted for."""
    threads = Threads(name)
    for trace, members in runs.traces():
        family = runs.families.get(trace) or trace
        _Trace(threads, tally, members, family).join(runs.outcomes.get(trace))
    return threads.sessions()


class _Open(msgspec.Struct):
    """A conversation whose tracer logged no history; it grows run by run."""

    run: Run
    history: list[Turn]


class _Trace:
    def __init__(self, threads: Threads, tally: Tally, runs: list[Run], family: str) -> None:
        self._threads = threads
        self._tally = tally
        self._runs = runs
        self._family = family
        self._by_id = {run.id: run for run in runs}
        self._tools = ToolRuns(runs)
        self._nodes: dict[str, Node] = {}
        """Where a model run's answer stands, by the run's id."""
        self._last_of: dict[str, Node] = {}
        """The last answer of an agent's own run, by that run's id."""
        self._open: dict[str | None, _Open] = {}
        """By the run that holds the model's runs."""

    def join(self, outcome: Outcome | None) -> None:
        """All conversations of the trace."""
        echoes = self._echoes()
        models = [r for r in self._runs if r.kind == "model" and r.id not in echoes]
        models = self._stitched(models)
        answered = {
            result.call_id
            for run in models
            for turn in run.history or ()
            for result in turn.message.results
        }
        for run in models:
            self._emit(run, outcome, answered)
        for run in self._runs:
            if run.id in echoes:
                self._tally.ignore("echo")
            elif run.kind not in ("model", "tool"):
                self._around(run, outcome, bool(models))
        unclaimed = self._tools.unclaimed()
        self._tally.use(sum(run.kind == "tool" for run in self._runs) - len(unclaimed))
        if unclaimed:
            self._tally.ignore("tool-without-call", len(unclaimed))

    def _around(self, run: Run, outcome: Outcome | None, told: bool) -> None:
        """A step around the model's calls; the state of the outermost stands in for them."""
        history = run.history or []
        if told or not any(turn.message.role == "assistant" for turn in history):
            self._tally.ignore(run.what)
            return
        self._tally.use()
        self._threads.add(
            run.record,
            history,
            answers=(),
            context=run.context,
            family=self._family,
            outcome=outcome,
        )

    def _above(self, run: Run) -> Iterator[Run]:
        seen = {run.id}
        at = self._by_id.get(run.parent) if run.parent else None
        while at is not None and at.id not in seen:
            seen.add(at.id)
            yield at
            at = self._by_id.get(at.parent) if at.parent else None

    def _echoes(self) -> set[str]:
        """Ids of model runs that show a request which another run shows better."""
        inner: dict[str, list[Run]] = {}
        for run in self._runs:
            if run.kind == "model":
                outer = self._wrapper(run)
                if outer is not None:
                    inner.setdefault(outer.id, []).append(run)
        echoes: set[str] = set()
        for id, runs in inner.items():
            outer = self._by_id[id]
            told = [run for run in runs if run.answers]
            if len(told) > 1 or (told and _richness(told[0]) >= _richness(outer)):
                echoes.add(id)
            else:
                echoes.update(run.id for run in runs)
        return echoes

    def _wrapper(self, run: Run) -> Run | None:
        for above in self._above(run):
            if above.kind == "model":
                return above
            if above.kind in ("tool", "agent"):
                return None
        return None

    def _stitched(self, models: Sequence[Run]) -> list[Run]:
        """The runs, each with a history; those without one are joined to the run before."""
        made: list[Run] = []
        for run in models:
            before = self._open.get(run.parent)
            if run.history is None and before is None:
                at = run.record.at(place(run.record, run.pointer), run.id)
                said = "an answer, but nothing that the model was asked"
                self._tally.aside(at, "no-request", said)
                continue
            if run.history is None and before is not None:
                told = self._continued(run, before)
                if told is None:
                    continue
                run.history = told
            run.history = self._with_system(run)
            self._tools.claim(run)
            self._open[run.parent] = _Open(run, run.history or [])
            made.append(run)
        return made

    def _with_system(self, run: Run) -> list[Turn]:
        """The history, with the system prompt that the answer or the run above names."""
        history = run.history or []
        above = self._by_id.get(run.parent) if run.parent else None
        system = run.system or (above.system if above is not None else None)
        if system is None or any(turn.message.role == "system" for turn in history):
            return history
        told = Message(role="system", parts=(Part(kind="text", text=system),))
        return [_turn(told, run if run.system else above or run), *history]

    def _continued(self, run: Run, before: _Open) -> list[Turn] | None:
        """What came before a run without a history; None where it only adds to the last answer."""
        last = before.run
        if not last.answers:
            return before.history
        results = self._tools.results(last, 0)
        ran = self._tools.first(last, 0)
        if results is None or ran is None or (ran.start or 0.0) > (run.start or 0.0):
            parts = tuple(numbered((*last.answers[0].parts, *run.answers[0].parts)))
            last.answers[0] = replace(last.answers[0], parts=parts, usage=run.answers[0].usage)
            self._tools.claim(last)
            self._tally.use()
            return None
        answer = last.answers[0]
        return [*before.history, _turn(answer, last), _turn(results, ran)]

    def _emit(self, run: Run, outcome: Outcome | None, answered: set[str | None]) -> None:
        history = [_told(turn, self._tools) for turn in run.history or ()]
        if not run.answers and not any(t.message.role == "assistant" for t in history):
            at = run.record.at(place(run.record, run.pointer), run.id)
            self._tally.aside(at, "no-answer", "a model's run without an answer")
            return
        self._tally.use()
        below, start = self._started(run)
        if below:
            run.answers = [replace(answer, actor="sub-agent") for answer in run.answers]
            outcome = None
        node = self._add(run.record, history, run, outcome)
        if node is None:
            return
        self._nodes[run.id] = node
        agent = next((above for above in self._above(run) if above.kind == "agent"), None)
        if agent is not None:
            self._last_of[agent.id] = node
        if len(run.answers) == 1:
            node.message = self._fuller(node.message, run)
        first = _first(node)
        first.family = first.family or self._family
        first.start = first.start or start
        self._tail(run, history, outcome, answered)

    def _fuller(self, answer: Message, run: Run) -> Message:
        """The answer with what a step around it kept, and the tracer of the model did not."""
        for above in self._above(run):
            if above.kind in ("model", "tool"):
                break
            told = above.last
            if told is None or told.text != answer.text or answer.error is not None:
                continue
            ids = {call.id for call in told.calls}
            if all(call.id in ids for call in answer.calls):
                more = len(told.calls) > len(answer.calls)
                return replace(
                    answer,
                    parts=told.parts if more else answer.parts,
                    finish_reason=answer.finish_reason or told.finish_reason,
                )
        return answer

    def _add(
        self, record: Record, history: list[Turn], run: Run, outcome: Outcome | None
    ) -> Node | None:
        return self._threads.add(
            record,
            history,
            answers=run.answers,
            context=run.context,
            outcome=outcome,
        )

    def _tail(
        self, run: Run, history: list[Turn], outcome: Outcome | None, answered: set[str | None]
    ) -> None:
        """Results of tools that ran, but that no later request quotes."""
        if len(run.answers) != 1:
            return
        results, ran = self._tools.results(run, 0), self._tools.first(run, 0)
        if results is None or ran is None or any(r.call_id in answered for r in results.results):
            return
        self._threads.add(
            ran.record,
            [*history, _turn(run.answers[0], run), _turn(results, ran)],
            answers=(),
            context=run.context,
            outcome=outcome,
        )

    def _started(self, run: Run) -> tuple[bool, Node | None]:
        """Whether a run is a sub-agent's, and the answer that started it."""
        agents = []
        for above in self._above(run):
            if above.kind == "tool":
                starter = self._tools.starter.get(above.id)
                return True, self._nodes.get(starter.id) if starter else None
            if above.kind == "agent":
                agents.append(above)
        for outer in agents[1:]:
            if outer.id in self._last_of:
                return True, self._last_of[outer.id]
        return False, None


def _richness(run: Run) -> tuple[bool, int, int, bool]:
    calls = sum(len(answer.calls) for answer in run.answers)
    return bool(run.answers), calls, len(run.context.tools), run.history is not None


def _turn(message: Message, run: Run) -> Turn:
    """A turn that stands in another run's record."""
    if not message.origins:
        origin = run.record.at(place(run.record, run.pointer), run.id)
        message = replace(message, origins=(origin,))
    return Turn(message, message_key(message), run.pointer, run.id, placed=True)


def _told(turn: Turn, tools: ToolRuns) -> Turn:
    message = tools.told(turn.message)
    return turn if message is turn.message else replace(turn, message=message)


def _first(node: Node) -> Node:
    """The first answer of a logged request above or at a node: what its conversation begins with.

    What stands before it, such as a system message, may be shared by others.
    """
    first, at = node, node.up
    while at is not None:
        first = at if at.answered else first
        at = at.up
    return first
