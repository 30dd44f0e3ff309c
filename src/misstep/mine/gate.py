"""The gate: every pair passes all rules, or is refused with the code of the first that objects.

In: candidates. Out: a `Pair` or a `Refused` for each; nothing is dropped in between. Each rule is
one small function that says what is wrong, or None. Reasons that depend on the other pairs are
asked at the `door`.
"""

from __future__ import annotations

from collections.abc import Iterator

from misstep.mine import evidence, gold, kinds, room, rules, texture, worth
from misstep.mine.desk import Desk
from misstep.mine.draft import Draft, Rule, draft, margin
from misstep.mine.feedback import failed_task

__all__ = ["RULES", "Draft", "Rule", "draft", "margin", "objection", "objections"]

RULES: tuple[Rule, ...] = tuple(
    Rule(code=code, about=about, check=check)
    for code, about, check in (
        ("HELDOUT_PROMPT", "the prompt holds text of a held-out session", rules.heldout),
        ("FAMILY_SPLIT", "its family stands on both sides of the split", evidence.torn_family),
        ("UNFIT_PROMPT", "the prompt is empty, or its image was not kept", rules.unfit_prompt),
        (
            "GOLD_REDACTED",
            "redaction would change the gold of the page",
            gold.gold_redacted,
        ),
        ("PROMPT_LONG", "the prompt does not fit, even without its middle", room.prompt_long),
        ("REJECTED_CLEAN", "nothing is wrong with the rejected side", rules.rejected_clean),
        ("LOOP_UNASKED", "it loops, and mine.rejected has no loops", kinds.loop_unasked),
        (
            "FAILURE_UNASKED",
            "it fails without a loop, and mine.rejected has no failures",
            kinds.failure_unasked,
        ),
        (
            "SCORE_MARGIN",
            "the rejected side is clean and nearly as good as the chosen one",
            kinds.score_margin,
        ),
        ("SAME_SIDES", "the sides do not differ", texture.same_sides),
        ("CHOSEN_LOOP", "the chosen side repeats itself", rules.loop),
        ("CHOSEN_FAILS", "the chosen side is not clean on this prompt", rules.chosen_fails),
        ("UNJUDGED", "no validator could have failed the chosen side", rules.unjudged),
        ("KEEPS_FAULT", "the chosen side holds what the rejected failed by", evidence.keeps_fault),
        ("AMBIGUOUS", "the log judged an equal answer the other way round", evidence.ambiguous),
        ("NO_MARGIN", "the chosen side scores no higher", rules.no_margin),
        ("PLACEHOLDER", "the chosen side holds the mark of a redaction", texture.placeholder),
        ("SECRET", "the chosen side holds a secret", texture.secret),
        ("CONTROL_TOKEN", "prompt or chosen side spell a control token", texture.control_token),
        ("DIFFERENT_TOOL", "accepted answers call another tool", rules.different_tool),
        (
            "OTHER_TOOL",
            "the failure lies in the arguments and the chosen side calls another tool",
            rules.other_tool,
        ),
        ("UNSUPPORTED", "the chosen side brings in a value that nobody gave", worth.unsupported),
        ("LONE", "too few clean answers say what the chosen side says", worth.lone),
        ("DISAGREES", "the chosen side is unlike every accepted answer", worth.disagrees),
        (
            "GIVES_UP",
            "the chosen side lacks a value that the failed side had right",
            worth.gives_up,
        ),
        (
            "LEARNED_LATER",
            "the chosen side knows what only a later message told",
            rules.learned_later,
        ),
        (
            "FAILED_TASK",
            "the chosen side stands in a session that failed its task",
            failed_task,
        ),
        ("LENGTH_RATIO", "one side is many times as long as the other", texture.lopsided),
        ("CHOSEN_LONG", "the chosen side does not fit behind its prompt", room.chosen_long),
        ("REJECTED_LONG", "the rejected side does not fit behind its prompt", room.rejected_long),
        ("LOST_VALUE", "the chosen side rests on a turn that was left out", room.lost_value),
    )
)
"""Every rule about one pair, in the order in which they are asked."""

_SIGNED = (
    "REJECTED_CLEAN",
    "LOOP_UNASKED",
    "FAILURE_UNASKED",
    "UNJUDGED",
    "NO_MARGIN",
    "OTHER_TOOL",
    "DIFFERENT_TOOL",
    "AMBIGUOUS",
)
"""What a human who preferred the chosen side has decided."""


def objection(desk: Desk, d: Draft) -> tuple[str, str] | None:
    """Code and sentence of the first rule that objects; None where all agree."""
    return next(objections(desk, d), None)


def objections(desk: Desk, d: Draft) -> Iterator[tuple[str, str]]:
    """Code and sentence of every rule that objects."""
    for rule in RULES:
        if d.candidate.signed and rule.code in _SIGNED:
            continue
        said = rule.check(desk, d)
        if said is not None:
            yield rule.code, said
