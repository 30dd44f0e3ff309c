"""What could not be checked for want of data, and what would light it up.

In: a session with its transcript. Out: how often each check of `WANTS` had nothing to go by. An
unjudged check is neither a pass nor a failure; the summary of a scan says what to add.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from misstep.contracts import contract_of
from misstep.types import Session, ToolResult
from misstep.validate.code import unread
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
    for name in _gaps(session, transcript):
        counts[name] = counts.get(name, 0) + 1
    return counts


def _gaps(session: Session, transcript: Transcript) -> Iterator[str]:
    last = len(session.messages) - 1
    for step in session.steps:
        message = session.messages[step]
        if message.finish_reason is None and message.error is None:
            yield "finish"
        yield from ("grammar" for _ in unread(message.text))
        exchanges = transcript.exchanges.get(step, ())
        for exchange in exchanges:
            yield from _of_call(session, transcript, exchange, last=step == last)
        if not exchanges and message.error is None and message.text:
            context = session.context_of(step)
            if context.response_schema is None and not context.json_mode:
                yield "format"


def _of_call(
    session: Session, transcript: Transcript, exchange: Exchange, *, last: bool
) -> Iterator[str]:
    call, result = exchange.call, exchange.result
    if call.kind == "hosted":
        return
    spec = transcript.offered(session.context_of(exchange.step)).get(call.name)
    contract = contract_of(spec)
    if call.syntax == "json":
        if spec is None or spec.parameters is None:
            yield "schema"
        if not call.verbatim:
            yield "arguments"
        if unseen(transcript, exchange, contract):
            yield "origin"
    if changes(call.name, contract) is None:
        yield "effect"
    if result is None:
        if not last:
            yield "result"
    elif not _marked(result) and declared(result, contract) is None:
        yield "outcome"


def _marked(result: ToolResult) -> bool:
    """Whether the log itself says of a result that it is an error, or that it is none."""
    return any(told is not None for told in (result.is_error, result.cause, result.exit_code))
