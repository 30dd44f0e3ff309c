"""The prompt budget: how a conversation that is too long is fitted, the same way everywhere.

In: the messages before an answer, how many tokens a rendering of them takes, a `Budget`. Out: the
messages that stay, in their order, or None where even the least does not fit. Mining, training,
sampling and evaluation all go through `shorten`, so a prompt is the same text in all of them, and a
prompt within its budget is untouched.

The policy `drop-middle` keeps the leading system messages, the task (the first user message), the
latest user message, and as many of the last turns as fit. Whole turns go, oldest first; a turn is
an assistant message with all results of its calls, or one other message, so no call loses its
result and nothing is cut in half. What the request offers (tools, a schema) always stays. Each gap
is marked in the text of the user or system message before it, or by a user message of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Literal, Protocol

from misstep.chat import values_of
from misstep.config import RunConfig
from misstep.types import Context, Message, Part

Fit = Literal["drop-middle", "set-aside"]
Size = Callable[[Sequence[Message]], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How many tokens a prompt may take, and what happens to one that takes more."""

    max_prompt: int
    """Tokens of a rendered prompt, up to where the answer begins."""
    max_length: int
    """Tokens of a prompt and its answer together, in training."""
    fit: Fit = "drop-middle"
    """`set-aside` leaves every prompt whole; what is too long is set aside by whoever meets it."""


class Renders(Protocol):
    """The part of `models.Template` that a budget needs."""

    def prompt_ids(self, messages: Sequence[Message], context: Context) -> list[int]:
        """Token ids of the prompt, up to where the answer begins."""


def budget_of(config: RunConfig) -> Budget:
    """The one budget of a run.

    Without `budget.max_prompt` it is what the shortest `max_length` of the enabled stages leaves
    beside an answer of `sample.max_new_tokens`; at least half of that length.
    """
    stages = [s.max_length for s in (config.sft, config.rft, config.dpo, config.kto) if s.enabled]
    length = min(stages, default=config.dpo.max_length)
    room = max(length - config.sample.max_new_tokens, length // 2)
    most = config.budget.max_prompt or room
    return Budget(max_prompt=most, max_length=length, fit=config.budget.fit)


def fitted(
    template: Renders, messages: Sequence[Message], context: Context, *, budget: Budget
) -> tuple[Message, ...] | None:
    """The messages as the model will meet them; None where no shortening fits.

    Raises:
        ModelError: the chat template refuses this conversation.
    """
    if budget.fit == "set-aside":
        return tuple(messages)
    return shorten(
        messages, lambda kept: len(template.prompt_ids(kept, context)), limit=budget.max_prompt
    )


def shorten(messages: Sequence[Message], size: Size, *, limit: int) -> tuple[Message, ...] | None:
    """The messages within `limit` tokens by the policy above; None where the least is too long.

    Args:
        size: tokens of a rendering. Called O(log n) times.
    """
    if size(messages) <= limit:
        return tuple(messages)
    turns = _turns(messages)
    pinned = _pinned(messages, turns)
    loose = [at for at in range(len(turns)) if at not in pinned]
    low, high, best = 1, len(loose), None
    while low <= high:
        middle = (low + high) // 2
        kept = tuple(_kept(messages, turns, gone=set(loose[:middle])))
        if size(kept) <= limit:
            best, high = kept, middle - 1
        else:
            low = middle + 1
    return best


def left_out(whole: Sequence[Message], kept: Sequence[Message]) -> int:
    """How many messages a shortening took away."""
    return len(whole) - sum(not _is_mark(message) for message in kept)


def lost(answer: Message, whole: Sequence[Message], kept: Sequence[Message]) -> str | None:
    """A value in the arguments of `answer` that stands only in the turns that were left out.

    Training on such an answer would teach to make values up.
    """
    wanted = values_of(answer)
    if not wanted or tuple(kept) == tuple(whole):
        return None
    before, after = _text_of(whole), _text_of(kept)
    return min((v for v in wanted if v in before and v not in after), default=None)


# --- turns -------------------------------------------------------------------------------------

_Turn = tuple[int, int]
"""Start and end of a stretch of messages that stays or goes as a whole."""


def _turns(messages: Sequence[Message]) -> list[_Turn]:
    """The conversation in stretches that share no call with its result across their borders."""
    reach = list(range(len(messages)))
    callers: dict[str, int] = {}
    latest = None
    for at, message in enumerate(messages):
        for result in message.results:
            owner = callers.get(result.call_id or "", latest)
            if owner is not None:
                reach[owner] = max(reach[owner], at)
        if message.calls:
            latest = at
            callers.update({call.id: at for call in message.calls if call.id})
    furthest = list(accumulate(reach, max))
    borders = [at for at in range(1, len(messages)) if furthest[at - 1] < at]
    return list(pairwise([0, *borders, len(messages)]))


def _pinned(messages: Sequence[Message], turns: Sequence[_Turn]) -> set[int]:
    """Indices of the turns that always stay."""
    users = [at for at, message in enumerate(messages) if message.role == "user"]
    lead = next((i for i, m in enumerate(messages) if m.role != "system"), len(messages))
    stays = {*range(lead), *users[:1], *users[-1:], len(messages) - 1}
    return {i for i, (start, end) in enumerate(turns) if not stays.isdisjoint(range(start, end))}


def _kept(
    messages: Sequence[Message], turns: Sequence[_Turn], *, gone: set[int]
) -> Iterator[Message]:
    """The messages without the turns that go, a mark for each gap."""
    waiting: Message | None = None
    missing = 0
    for at, (start, end) in enumerate(turns):
        if at in gone:
            missing += end - start
            continue
        yield from _closed(waiting, missing)
        missing = 0
        yield from messages[start : end - 1]
        waiting = messages[end - 1]
    yield from _closed(waiting, missing)


def _closed(last: Message | None, missing: int) -> Iterator[Message]:
    """The last message before a gap, with the mark of the gap."""
    if not missing:
        if last is not None:
            yield last
        return
    plural = "" if missing == 1 else "s"
    mark = f"[{missing} earlier message{plural} left out here]"
    if last is not None and last.role in ("user", "system"):
        yield replace(last, parts=(*last.parts, Part(kind="text", text=f"\n\n{mark}")))
        return
    if last is not None:
        yield last
    yield Message(role="user", actor="harness", parts=(Part(kind="text", text=mark),))


def _is_mark(message: Message) -> bool:
    return message.actor == "harness" and message.text.endswith(" left out here]")


def _text_of(messages: Iterable[Message]) -> str:
    texts: list[str] = []
    for message in messages:
        texts.extend(part.text or "" for part in message.parts if part.text)
        texts.extend(call.arguments for call in message.calls)
        texts.extend(result.text for result in message.results)
    return "\n".join(texts).casefold()
