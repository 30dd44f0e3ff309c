"""What an arm's transcriptions are worth: degeneration, score, validity, tokens, time in loops.

In: every arm's greedy answers to the held-out pages. Out: one row an arm, with the figures of
misstep's own measures (`evaluate.quality`: counts out of n, intervals, exact McNemar) and the
changes from SFT and from SFT continued. This file only picks and names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from parts.ocr_arms import ARMS, Answered, Lab

from misstep import evaluate, store, validate
from misstep.evaluate import held_out
from misstep.pipeline import mining
from misstep.pipeline.kept import corpus_of

SHOWN = (
    "degenerate_published",
    "degenerate_codes",
    "text_score",
    "json_valid",
    "schema_valid",
    "cer",
    "wer",
    "field_accuracy",
    "tokens",
    "loop_tokens",
)


def rows(lab: Lab, answers: Mapping[str, Answered]) -> list[dict[str, Any]]:
    """One row an arm."""
    job = lab.job
    corpus = corpus_of(store.RunFolder(lab.run))
    held = held_out(corpus, mining.families(job, corpus), job.config.eval)
    golds = {h.prompt: corpus.sessions[h.prompt.session].messages[-1].text for h in held}
    common: dict[str, Any] = {
        "golds": golds,
        "settings": validate.settings(job.config.validate),
        "config": job.config.eval,
        "seed": job.config.seed,
    }
    whole = evaluate.quality(corpus, held, answers, **common)
    found = [*whole.degeneration, *whole.gold]
    done = job.folder.noted("train adapter")
    facts = {"pairs": job.folder.noted("mine").get("pairs")}
    facts |= {name: done.get(name) for name in ("steps", "rows", "stopped")}
    made = []
    for arm in answers:
        figures = {
            each.metric: {
                "value": round(each.value, 5),
                "k": each.k,
                "n": each.n,
                "low": round(each.low, 5),
                "high": round(each.high, 5),
            }
            for each in found
            if each.model == arm and each.answers == "greedy" and each.metric in SHOWN
        }
        against = {
            other: _against(corpus, held, answers, (other, arm), common)
            for other in ("sft", "control")
            if other != arm and other in answers
        }
        trained = {"trained": facts} if arm == "dpo" else {}
        made.append({"arm": arm, **trained, "figures": figures, "against": against})
    return made


def _against(
    corpus: Any, held: Any, answers: Mapping[str, Answered], both: Sequence[str], common: Any
) -> dict[str, Any]:
    """The change from one arm to another, page by page."""
    before, after = both
    pair = {"sft": answers[before], "dpo": answers[after]}
    changes = evaluate.quality(corpus, held, pair, **common).changes
    return {
        each.metric: {
            "better": each.better,
            "worse": each.worse,
            "p": each.p,
            "difference": round(each.difference, 5),
            "low": round(each.low, 5),
            "high": round(each.high, 5),
        }
        for each in changes
        if each.metric in SHOWN and (each.before, each.after) == ("sft", "dpo")
    }


def drop(table: Sequence[Mapping[str, Any]], arm: str, against: str = "sft") -> float | None:
    """By how much rarer degenerate pages are, relative; None where there were none before."""
    by_arm = {row["arm"]: row["figures"] for row in table}
    if not {arm, against} <= set(by_arm):
        return None
    before = by_arm[against]["degenerate_published"]["k"]
    return 1 - by_arm[arm]["degenerate_published"]["k"] / before if before else None


def text(table: Sequence[Mapping[str, Any]]) -> str:
    """The table of one family for a terminal."""
    lines = [f"{'arm':<9} {'degenerate':>14} {'codes':>7} {'score':>6} {'valid':>6} {'tokens':>7}"]
    for arm in ARMS:
        for row in (each for each in table if each["arm"] == arm):
            f = row["figures"]
            k = f["degenerate_published"]
            lines.append(
                f"{arm:<9} {k['k']:>5} of {k['n']:<5} {f['degenerate_codes']['k']:>7} "
                f"{f['text_score']['value']:>6.3f} {f['schema_valid']['value']:>6.1%} "
                f"{f.get('tokens', {}).get('value', float('nan')):>7.1f}"
            )
    return "\n".join(lines)
