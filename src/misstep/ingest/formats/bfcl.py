"""BFCL (Berkeley Function Calling Leaderboard) results and scores: JSON lines in files named .json.

Kept: every answer of every turn with argument text as the handler wrote it, what the harness could
not decode, execution results, reasoning, token counts, the model (its folder's name), and from
score files whether the answer was right, and the question and functions of those that were wrong. A
result and its score are joined over their files. What results cannot tell: the questions and the
functions; give BFCL's question files as `--tools`. Until then a stand-in names the question. In
prompting mode a list of Python calls is read as calls. The family is the question's id.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import msgspec
from msgspec.structs import replace

from misstep.ingest.build import linear
from misstep.ingest.format import Format, Misfit, Peek, Record, Tally, share
from misstep.ingest.harnesses.bfcl_questions import is_question, specs_of, stand_in, task_of
from misstep.ingest.harnesses.bfcl_steps import Turn, turns_of, unread
from misstep.ingest.messages import kind_of, place, text_or_none
from misstep.ingest.oneby import set_aside
from misstep.types import Context, Message, Outcome, Part, Session

NAME = "bfcl"
Row = Mapping[str, Any]
_FILE = re.compile(r"(?:^|_)(?:result|score)$")
_COUNTS = ("input_token_count", "output_token_count", "latency", "inference_log", "traceback")
_SCORE = ("accuracy", "correct_count", "total_count")


class _Group(msgspec.Struct):
    """The results of one model in one category, and their score."""

    results: list[tuple[Record, Row]] = msgspec.field(default_factory=list)
    wrong: dict[str, Row] = msgspec.field(default_factory=dict)
    lines: dict[str, Record] = msgspec.field(default_factory=dict)
    """Where each wrong answer stands."""
    scored: bool = False


class _Reader:
    """Reads results and scores, group by group."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._groups: dict[str, _Group] = {}

    def read(self, record: Record) -> None:
        """Take one line."""
        row = record.value
        group = self._groups.setdefault(next(joins(row, record.origin.file)), _Group())
        if not isinstance(row, dict):
            misfit = Misfit("", f"expected an object, got {kind_of(row)}", "unknown-record")
            set_aside(self._tally, record, misfit)
        elif all(key in row for key in _SCORE) and "id" not in row:
            group.scored = True
            self._tally.ignore("score-header")
        elif is_question(row) and "result" not in row:
            self._tally.ignore("question")
        elif isinstance(row.get("id"), str) and row.get("valid") is False:
            if row["id"] in group.wrong:
                self._tally.ignore("repeated-score")
            else:
                group.wrong[row["id"]], group.lines[row["id"]] = row, record
        elif isinstance(row.get("id"), str) and "result" in row:
            group.results.append((record, row))
        else:
            misfit = Misfit("", "neither a result nor a score", "unknown-record")
            set_aside(self._tally, record, misfit)

    def close_file(self) -> None:
        """The score of a result stands in another file."""

    def finish(self) -> tuple[Session, ...]:
        """One session for each result; a wrong answer without its result makes one of its own."""
        return tuple(s for group in self._groups.values() for s in self._of(group))

    def _of(self, group: _Group) -> Iterator[Session]:
        for record, row in group.results:
            yield from self._made(record, row, group.wrong.get(row["id"]), group.scored)
        known = {row["id"] for _, row in group.results}
        for id, score in group.wrong.items():
            if id in known:
                self._tally.use()
            else:
                row = {"id": id, "result": _raw(score), "model": score.get("model_name")}
                yield from self._made(group.lines[id], row, score, group.scored)

    def _made(self, record: Record, row: Row, score: Row | None, scored: bool) -> Iterator[Session]:
        try:
            session = _session(record, row, score)
        except Misfit as misfit:
            set_aside(self._tally, record, misfit)
            return
        self._tally.use()
        told = score is not None or scored
        yield replace(session, outcome=Outcome(resolved=score is None) if told else None)


def _raw(score: Row) -> Any:
    """What the model wrote, from the score of a wrong answer."""
    keys = ("model_result_raw", "model_result", "model_result_decoded")
    return next((score[key] for key in keys if score.get(key) is not None), None)


def _session(record: Record, row: Row, score: Row | None) -> Session:
    id = row["id"]
    model = text_or_none(row.get("model")) or _model(record.origin.file)
    failed = text_or_none(row.get("traceback"))
    messages: list[Message] = []
    asked = _asked(score)
    for index, turn in enumerate(_failed(row) if failed else turns_of(row)):
        for message, pointer in (*_opening(turn, index, id, asked[0]), *turn.rest):
            origin = record.at(place(record, pointer), id)
            if message.role == "assistant":
                message = replace(_undecoded(score, message), model=model)
            messages.append(replace(message, origins=(origin,)))
    return linear(NAME, messages, contexts=_context(row, asked[1]), family=id)


def _undecoded(score: Row | None, message: Message) -> Message:
    """With what the checker said where it could not take the answer apart."""
    kind = text_or_none(score.get("error_type")) if score is not None else None
    if score is None or kind is None or not kind.startswith("ast_decoder") or message.error:
        return message
    error = score.get("error")
    said = f"{kind}: {error[0] if isinstance(error, list) and error else error}"
    return unread(message, said) if message.calls else replace(message, fault=said)


def _failed(row: Row) -> list[Turn]:
    """A request that failed: its error stands in place of the result."""
    error = Message(role="assistant", actor="agent", error=str(row.get("result")))
    return [Turn((), ((error, "/result"),))]


def _asked(score: Row | None) -> tuple[tuple[tuple[Message, ...], ...], tuple[Any, ...]]:
    """Questions by turn, and the functions, as the score of a wrong answer repeats them."""
    prompt = score.get("prompt") if score is not None else None
    if not isinstance(prompt, dict) or score is None:
        return (), ()
    told = {"function": [], **prompt, "id": score["id"]}
    if not is_question(told):
        return (), ()
    try:
        return task_of(told, {}).turns, specs_of(told["function"])
    except Misfit:
        return (), ()


def _opening(
    turn: Turn, index: int, id: str, asked: tuple[tuple[Message, ...], ...]
) -> Iterator[tuple[Message, str]]:
    if turn.opening:
        for message, pointer in turn.opening:
            yield replace(message, actor="human" if message.role == "user" else None), pointer
    elif index < len(asked) and asked[index]:
        yield from ((message, "") for message in asked[index])
    else:
        text = Part(kind="text", text=stand_in(id, index))
        yield Message(role="user", parts=(text,), actor="harness"), ""


def _context(row: Row, functions: tuple[Any, ...]) -> Context | None:
    """What the logged input of the first request, or the score, says was offered."""
    log = row.get("inference_log")
    for item in log if isinstance(log, list) else ():
        content = item.get("content") if isinstance(item, dict) else None
        if isinstance(content, dict) and item.get("role") == "inference_input":
            tools = specs_of(content.get("tools"))
            if tools:
                return Context(tools=tools)
    renamed = (replace(tool, name=tool.name.replace(".", "_")) for tool in functions)
    calls = isinstance(row.get("result"), list)
    return Context(tools=tuple(renamed if calls else functions)) if functions else None


def _model(file: str) -> str | None:
    """The folder below `result` or `score`; else the folder of the file."""
    parts = PurePosixPath(file).parts[:-1]
    below = next((i for i, part in enumerate(parts) if part in ("result", "score")), None)
    if below is not None and below + 1 < len(parts):
        return parts[below + 1]
    return parts[-1] if parts else None


def _weigh(value: dict[str, Any]) -> float:
    if all(key in value for key in _SCORE):
        return 1.0
    if not isinstance(value.get("id"), str):
        return 0.0
    if is_question(value):
        return 0.6
    if "result" in value:
        return 1.0 if any(key in value for key in _COUNTS) else 0.3
    return 1.0 if value.get("valid") is False and "error_type" in value else 0.0


def sniff(peek: Peek) -> float:
    """Results with token counts or a log, scores, or questions."""
    return share(peek, _weigh) if peek.kind == "json" else 0.0


def joins(value: Any, name: str) -> Iterator[str]:
    """The model and the category of a file."""
    path = PurePosixPath(name)
    yield f"bfcl:{_model(name) or ''}:{_FILE.sub('', path.stem)}"


def _reader(tally: Tally) -> _Reader:
    return _Reader(tally)


FORMAT = Format(
    name=NAME,
    about="BFCL results and scores; questions and functions come from its question files (--tools)",
    unit="line",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
    joins=joins,
)
