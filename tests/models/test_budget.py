"""The prompt budget: what stays of a conversation that is too long."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from misstep.config import load_config
from misstep.models.budget import Budget, budget_of, fitted, left_out, lost, shorten
from misstep.types import Context, Message, Part, ToolCall, ToolResult


def text(role: str, said: str) -> Message:
    return Message(role=role, parts=(Part(kind="text", text=said),))


def call(*names: str) -> Message:
    calls = (ToolCall(name="look", arguments=f'{{"id": "{n}"}}', id=n) for n in names)
    return Message(role="assistant", parts=tuple(Part(kind="call", call=c) for c in calls))


def result(name: str | None, said: str = "seen") -> Message:
    back = ToolResult(text=said, call_id=name)
    return Message(role="tool", parts=(Part(kind="result", result=back),))


def size(messages) -> int:
    """Ten a message, and one for each ten characters."""
    return sum(10 + len(said(message)) // 10 for message in messages)


def said(message: Message) -> str:
    calls = "".join(c.arguments for c in message.calls)
    return message.text + calls + "".join(r.text for r in message.results)


TASK = [text("system", "You help."), text("user", "Find the key.")]
LONG = [*TASK, *(m for n in range(9) for m in (call(f"c{n}"), result(f"c{n}")))]


def test_a_prompt_within_its_budget_is_the_very_same():
    assert shorten(LONG, size, limit=size(LONG)) == tuple(LONG)


def test_system_task_and_the_last_turns_stay_and_the_gap_is_marked():
    kept = shorten(LONG, size, limit=70)
    assert kept[0] == LONG[0]
    assert kept[1].text == "Find the key.\n\n[14 earlier messages left out here]"
    assert kept[2:] == tuple(LONG[-4:])


def test_the_latest_request_stays_too():
    asked = [*LONG, text("user", "And now the door."), *LONG[2:]]
    kept = shorten(asked, size, limit=80)
    texts = [m.text.partition("\n")[0] for m in kept if m.role == "user"]
    assert texts == ["Find the key.", "And now the door."]
    assert [m.text.count("left out here") for m in kept if m.role == "user"] == [1, 1]


def test_calls_that_are_answered_late_and_mixed_stay_together():
    mixed = [*TASK, call("a", "b"), result("b"), call("c"), result("a"), result("c"), *LONG[2:]]
    whole = size(mixed)
    for limit in range(40, whole):
        kept = shorten(mixed, size, limit=limit)
        if kept is not None:
            assert paired(kept)


def test_where_even_the_least_is_too_long_nothing_is_cut():
    assert shorten([*TASK, call("a"), result("a", "x" * 9999)], size, limit=100) is None


def test_an_answer_that_rests_on_a_lost_turn_is_known():
    told = [*TASK, call("a"), result("a", "the code is QX-4471"), *LONG[2:]]
    kept = shorten(told, size, limit=70)
    answer = Message(
        role="assistant",
        parts=(Part(kind="call", call=ToolCall(name="open", arguments='{"code": "QX-4471"}')),),
    )
    assert lost(answer, told, kept) == "qx-4471"
    assert lost(answer, told, told) is None


def test_the_budget_of_a_run_is_what_the_shortest_stage_leaves_for_a_prompt():
    config = load_config(None, {"sft.max_length": 800, "sample.max_new_tokens": 100})
    assert budget_of(config) == Budget(max_prompt=700, max_length=800)
    assert budget_of(load_config(None, {"budget.max_prompt": 333})).max_prompt == 333


def test_setting_aside_leaves_every_prompt_whole():
    class Letters:
        def prompt_ids(self, messages, context):
            return [0] * size(messages)

    aside = Budget(max_prompt=20, max_length=30, fit="set-aside")
    assert fitted(Letters(), LONG, Context(), budget=aside) == tuple(LONG)
    dropping = Budget(max_prompt=70, max_length=90)
    assert size(fitted(Letters(), LONG, Context(), budget=dropping)) <= 70


def paired(messages) -> bool:
    """Every result stands behind its call, and every call that was answered has its result."""
    open_calls: set[str] = set()
    for message in messages:
        open_calls |= {c.id for c in message.calls}
        for back in message.results:
            if back.call_id not in open_calls:
                return False
    return True


_SAID = st.text("abc ", max_size=60)


@st.composite
def talks(draw):
    """Conversations in which calls are answered at once, late, in another order, or never."""
    out = [text("system", draw(_SAID)) for _ in range(draw(st.integers(0, 2)))]
    waiting: list[str] = []
    for n in range(draw(st.integers(1, 14))):
        kind = draw(st.sampled_from(["user", "assistant", "call", "result"]))
        if kind == "call":
            names = [f"c{n}.{k}" for k in range(draw(st.integers(1, 3)))]
            waiting += names
            out.append(call(*names))
        elif kind == "result" and waiting:
            out.append(result(waiting.pop(draw(st.integers(0, len(waiting) - 1))), draw(_SAID)))
        else:
            out.append(text("user" if kind == "result" else kind, draw(_SAID) or "x"))
            if kind == "call":
                waiting.clear()
    return out


@settings(deadline=None, max_examples=400)
@given(talks(), st.integers(10, 300))
def test_whatever_is_said_the_rest_is_whole_in_order_and_within_the_budget(messages, limit):
    kept = shorten(messages, size, limit=limit)
    if kept is None:
        assert size(messages) > limit
        return
    assert size(kept) <= limit
    assert shorten(kept, size, limit=limit) == kept
    bare = [(m.role, said(m).partition("\n\n[")[0]) for m in kept if m.actor != "harness"]
    rest = iter((m.role, said(m)) for m in messages)
    assert all(each in rest for each in bare)
    assert paired(kept)
    answered = {r.call_id for m in messages for r in m.results}
    left = {r.call_id for m in kept for r in m.results}
    assert all(c.id in left for m in kept for c in m.calls if c.id in answered)
    assert left_out(messages, kept) == len(messages) - len(bare)
    users = [m for m in messages if m.role == "user"]
    if users:
        spoken = [said(m).partition("\n\n[")[0] for m in kept if m.role == "user"]
        assert said(users[0]) in spoken
        assert said(users[-1]) in spoken


@pytest.mark.model
def test_the_embedded_models_template_meets_the_budget():
    from misstep.models import load_tokenizer

    template = load_tokenizer("smollm2")[1]
    whole = len(template.prompt_ids(LONG, Context()))
    for most in range(60, whole, 17):
        budget = Budget(max_prompt=most, max_length=whole)
        kept = fitted(template, LONG, Context(), budget=budget)
        assert kept is None or len(template.prompt_ids(kept, Context())) <= most
    assert fitted(template, LONG, Context(), budget=Budget(max_prompt=whole, max_length=999)) == (
        tuple(LONG)
    )
