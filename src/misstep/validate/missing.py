"""What could not be checked for want of data, and what would light it up.

In: a session with its transcript. Out: how often each check of `WANTS` had nothing to go by. An
unjudged check is neither a pass nor a failure; the summary of a scan says what to add.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from misstep.types import Context, Session, ToolResult
from misstep.validate.code import unread
from misstep.validate.code_fences import fenced
from misstep.validate.effects import changes
from misstep.validate.failing import declared
from misstep.validate.provenance import unseen
from misstep.validate.transcript import Exchange, Transcript


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """A check that needs something that a log may not hold."""

    name: str
    said: str
    """What is counted: `calls without a schema`."""
    add: str
    """What would let it run."""


WANTS: dict[str, Want] = {
    want.name: want
    for want in (
        Want(name="schema", said="calls without a schema", add="--tools FILE"),
        Want(name="inferred", said="calls of an inferred schema", add="confirm it in --tools"),
        Want(name="arguments", said="calls logged only parsed", add="log the raw argument text"),
        Want(name="result", said="calls without a result", add="log tool results"),
        Want(name="outcome", said="results without an error flag", add="failure_when in --tools"),
        Want(name="effect", said="calls of unknown effect", add="side_effecting in --tools"),
        Want(name="origin", said="calls of unseen sources", add="log whole prompts and results"),
        Want(name="finish", said="answers without a finish reason", add="log finish reasons"),
        Want(name="grammar", said="blocks of code that no grammar reads", add="misstep[code]"),
        Want(name="format", said="answers in no asked-for format", add="--schema or --expect-json"),
    )
}
"""In the order of the documentation (docs/codes.md)."""


def counted(session: Session, transcript: Transcript) -> dict[str, int]:
    """How often each check of `WANTS` could not run on the session's own steps."""
    counts: dict[str, int] = {}

    def count(name: str) -> None:
        counts[name] = counts.get(name, 0) + 1

    last = len(session.messages) - 1
    for step in session.steps:
        message, said = session.messages[step], transcript.said[step]
        if message.finish_reason is None and message.error is None:
            count("finish")
        if fenced(said.text):
            for _ in unread(said.text):
                count("grammar")
        context = session.context_of(step)
        if said.calls:
            for exchange in transcript.exchanges[step]:
                _of_call(transcript, exchange, context, count, last=step == last)
        elif message.error is None and said.text and not _asked_for_a_format(context):
            count("format")
    return counts


def _asked_for_a_format(context: Context) -> bool:
    return context.response_schema is not None or context.json_mode


def _of_call(
    transcript: Transcript,
    exchange: Exchange,
    context: Context,
    count: Callable[[str], None],
    *,
    last: bool,
) -> None:
    call, result, contract = exchange.call, exchange.result, exchange.contract
    if call.kind == "hosted":
        return
    if call.syntax == "json":
        guessed = transcript.offer(context).guessed.get(call.name)
        if guessed is not None and guessed.parameters is not None:
            count("inferred")
        elif exchange.spec is None or exchange.spec.parameters is None:
            count("schema")
        if not call.verbatim:
            count("arguments")
        if unseen(transcript, exchange):
            count("origin")
    if changes(call.name, contract) is None:
        count("effect")
    if result is None:
        if not last:
            count("result")
    elif not _marked(result) and declared(result, contract) is None:
        count("outcome")


def _marked(result: ToolResult) -> bool:
    """Whether the log itself says of a result that it is an error, or that it is none."""
    return not (result.is_error is None and result.cause is None and result.exit_code is None)
