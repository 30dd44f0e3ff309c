"""tau2-bench results: one file with `simulations`, or a folder of `results.json` and
`simulations/<id>.json`.

Kept: the agent's conversation with argument text as the provider sent it (`raw_data`), the flag of
each tool result, policy as system message, tool definitions where logged, model, usage, times,
finish reason; the reward as outcome (a run that ended early, by `max_steps`, `too_many_errors` or
`agent_error`, is not resolved; `max_steps` and `timeout` are its limit), the task as family. The
simulated user's own calls and their results are left out: the agent never sees them. What the
format cannot tell: the agent's instructions around the policy, and mostly the tool schemas
(`tool_defs` is usually null). A call that is no JSON stops the benchmark's own run before it is
logged. Voice runs (`ticks` without messages) are set aside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import msgspec
import orjson
from msgspec.structs import replace

from misstep.ingest.build import linear
from misstep.ingest.format import Format, Misfit, Peek, Record, Tally, share
from misstep.ingest.harnesses.tau2_messages import mapping, messages_of
from misstep.ingest.messages import (
    kind_of,
    number_or_none,
    place,
    text_or_none,
)
from misstep.ingest.oneby import set_aside
from misstep.types import (
    Context,
    Message,
    Outcome,
    Part,
    Session,
    ToolSpec,
    content_id,
)

NAME = "tau2-bench"
_EARLY = frozenset({"max_steps", "too_many_errors", "agent_error", "timeout"})


class _About(msgspec.Struct, frozen=True):
    """What a results file says about all of its simulations."""

    policy: str | None = None
    domain: str = ""
    model: str | None = None
    context: Context | None = None
    tasks: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Content of each task, by its id."""


_NOTHING = _About()


class _Runs:
    """Reads simulations; those in files of their own wait for their folder's `results.json`."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._index: dict[str, _About] = {}
        """By folder."""
        self._held: list[tuple[Record, Mapping[str, Any], str, _About | None]] = []

    def read(self, record: Record) -> None:
        """Take one file."""
        value = record.value
        if isinstance(value, dict) and isinstance(value.get("simulations"), list):
            self._results(record, value["simulations"], _about(value))
        elif isinstance(value, dict) and isinstance(value.get("simulation_index"), list):
            self._index[_folder(record)] = _about(value)
            self._tally.ignore("run-info")
        elif isinstance(value, dict) and "termination_reason" in value:
            self._held.append((record, value, "", None))
        else:
            misfit = Misfit("", "neither results nor a simulation", "unknown-record")
            set_aside(self._tally, record, misfit)

    def _results(self, record: Record, runs: Sequence[Any], about: _About) -> None:
        self._tally.unfold(max(1, len(runs)))
        if not runs:
            self._index[_folder(record)] = about
            self._tally.ignore("run-info")
        for index, run in enumerate(runs):
            at = f"/simulations/{index}"
            if isinstance(run, dict):
                self._held.append((record, run, at, about))
            else:
                set_aside(self._tally, record, Misfit(at, f"no simulation: {kind_of(run)}"))

    def close_file(self) -> None:
        """The run's `results.json` may come after its simulations."""

    def finish(self) -> tuple[Session, ...]:
        """One session for each simulation."""
        made = []
        for record, run, at, about in self._held:
            try:
                about = about or self._index.get(_folder(record), _NOTHING)
                made.append(_session(record, run, at, about))
            except Misfit as misfit:
                set_aside(self._tally, record, misfit)
            else:
                self._tally.use()
        return tuple(made)


def _session(record: Record, run: Mapping[str, Any], at: str, about: _About) -> Session:
    rows, row = run.get("messages"), text_or_none(run.get("id"))
    if not isinstance(rows, list) or not rows:
        voice = isinstance(run.get("ticks"), list)
        said = "a voice run: ticks, no messages" if voice else f"messages: {kind_of(rows)}"
        raise Misfit(f"{at}/messages", said, "voice-only" if voice else "bad-message")
    messages = []
    policy = text_or_none(run.get("policy")) or about.policy
    if policy is not None:
        parts = (Part(kind="text", text=policy),)
        origins = (record.at(place(record, at), row),)
        messages.append(Message(role="system", parts=parts, actor="harness", origins=origins))
    for index, value in enumerate(rows):
        pointer = f"{at}/messages/{index}"
        origins = (record.at(place(record, pointer), row),)
        for message in messages_of(value, pointer):
            model = message.model or about.model if message.role == "assistant" else None
            messages.append(replace(message, model=model, origins=origins))
    ended, task = run.get("termination_reason"), _word(run.get("task_id"))
    if ended == "agent_error":
        _blame(messages)
    told = ("task", about.domain, task, about.tasks.get(task, ""))
    family = "-".join(word for word in told if word)
    outcome = _outcome(run, ended)
    return linear(NAME, messages, contexts=about.context, family=family, outcome=outcome)


def _about(value: Mapping[str, Any]) -> _About:
    info = mapping(value.get("info"))
    environment, agent = mapping(info.get("environment_info")), mapping(info.get("agent_info"))
    tasks = {}
    for task in value["tasks"] if isinstance(value.get("tasks"), list) else ():
        if isinstance(task, dict):
            asked = [task.get("user_scenario"), task.get("ticket")]
            text = orjson.dumps(asked, option=orjson.OPT_SORT_KEYS).decode()
            tasks[_word(task.get("id"))] = content_id(text)
    return _About(
        policy=text_or_none(environment.get("policy")),
        domain=_word(environment.get("domain_name")),
        model=text_or_none(agent.get("llm")),
        context=_context(mapping(environment.get("tool_defs")), mapping(agent.get("llm_args"))),
        tasks=tasks,
    )


def _word(value: Any) -> str:
    return str(value)[:200] if isinstance(value, (str, int)) else ""


def _context(tools: Mapping[str, Any], args: Mapping[str, Any]) -> Context | None:
    specs = tuple(_spec(tool) for tool in tools.values() if isinstance(tool, dict))
    context = Context(tools=specs, temperature=number_or_none(args.get("temperature")))
    return None if context == Context() else context


def _spec(tool: Mapping[str, Any]) -> ToolSpec:
    return ToolSpec(
        name=_word(tool.get("name")),
        description=text_or_none(tool.get("doc")),
        parameters=_schema(tool.get("params")),
        contract=_promised(tool.get("returns")),
    )


def _promised(returns: Any) -> str | None:
    """The contract of a tool; its document wraps the schema of the results in a property."""
    if not isinstance(returns, dict):
        return None
    named = returns.get("properties")
    inner = named.get("returns") if isinstance(named, dict) else None
    known = {key: returns[key] for key in ("$defs", "definitions") if key in returns}
    schema = {**inner, **known} if isinstance(inner, dict) else returns
    return orjson.dumps({"output_schema": schema}).decode()


def _schema(value: Any) -> str | None:
    return orjson.dumps(value).decode() if isinstance(value, dict) else None


def _blame(messages: list[Message]) -> None:
    """The run ended because the last answer was none that the benchmark takes."""
    for at in range(len(messages) - 1, -1, -1):
        if messages[at].role == "assistant":
            messages[at] = replace(messages[at], fault="termination_reason: agent_error")
            return


def _outcome(run: Mapping[str, Any], ended: Any) -> Outcome | None:
    info = run.get("reward_info")
    reward = number_or_none(info.get("reward")) if isinstance(info, dict) else None
    resolved = False if isinstance(ended, str) and ended in _EARLY else None
    limit = ended if ended in ("max_steps", "timeout") else None
    outcome = Outcome(reward=reward, resolved=resolved, limit=limit)
    return None if outcome == Outcome() else outcome


def _weigh(value: dict[str, Any]) -> float:
    if isinstance(value.get("simulations"), list) or isinstance(
        value.get("simulation_index"), list
    ):
        return 1.0 if "info" in value or "tasks" in value else 0.0
    run = "termination_reason" in value and "task_id" in value
    return 1.0 if run and ("messages" in value or "ticks" in value) else 0.0


def sniff(peek: Peek) -> float:
    """Results with simulations and what they ran on, or one simulation with how it ended."""
    return share(peek, _weigh) if peek.kind == "json" else 0.0


def joins(value: Any, name: str) -> Iterable[str]:
    """The folder of a run: that of `results.json`, or the one above `simulations`."""
    folder = PurePosixPath(name).parent
    inside = folder.name == "simulations"
    yield f"folder:{folder.parent if inside else folder}"


def _folder(record: Record) -> str:
    return next(iter(joins(record.value, record.origin.file)))


def _reader(tally: Tally) -> _Runs:
    return _Runs(tally)


FORMAT = Format(
    name=NAME,
    about="tau2-bench simulations with reward and error flags; mostly without tool schemas",
    unit="simulation",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
    joins=joins,
)
