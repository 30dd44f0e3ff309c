"""A run as the pipeline would hand it over, small and made up; and one full of hostile text."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from misstep.report import RunView, ScanView, Training

HOSTILE = (
    "</title></style></script><script>document.documentElement.dataset.hacked=1</script>"
    "<img src=x onerror=\"document.documentElement.dataset.hacked='img'\">"
    '"><svg onload=document.documentElement.dataset.hacked=2> javascript:alert(1)'
    " {{ 7*7 }} \x1b[31mred\x1b[0m \u202egnirts\u2066 \x00 \ud800 | `code` [link](javascript:x)"
)
"""Markup, template syntax, terminal escapes, direction overrides, a NUL and a lone surrogate."""


def score(
    model: str, code: str | None, k: int, n: int, metric: str = "failure_rate"
) -> dict[str, Any]:
    half = 1.96 * math.sqrt(max(k, 1) * (n - k + 1)) / n**1.5
    value = k / n
    return {
        "metric": metric,
        "code": code,
        "model": model,
        "value": value,
        "n": n,
        "k": k,
        "low": max(0.0, value - half),
        "high": min(1.0, value + half),
        "unjudged": 0,
        "seed": 42,
    }


COUNTS = {
    None: (301, 188, 104),
    "NO_CALL": (181, 12, 9),
    "WRONG_TYPE": (41, 71, 30),
    "ENUM": (30, 44, 21),
    "MISSING_REQUIRED": (22, 32, 24),
    "ARGS_UNPARSABLE": (12, 20, 16),
    "TRUNCATED": (9, 11, 6),
    "REP_LOOP": (6, 8, 0),
    "TOOL_UNKNOWN": (0, 2, 3),
}
"""Failing answers of 423: base, sft, dpo."""


def scores() -> dict[str, Any]:
    arms = ("base", "sft", "dpo")
    paired = [
        {
            "from": a,
            "to": b,
            "code": code,
            "fixed": max(0, (counts[i] - counts[j]) // 3),
            "broken": 4,
            "p": 0.00002 if code is None else 0.0312 if abs(counts[i] - counts[j]) > 12 else 0.41,
            "difference": (counts[j] - counts[i]) / 423,
            "low": (counts[j] - counts[i]) / 423 - 0.05,
            "high": (counts[j] - counts[i]) / 423 + 0.05,
            "greedy_fixed": 20,
            "greedy_broken": 4,
            "greedy_p": 0.0015,
        }
        for code, counts in COUNTS.items()
        for (i, a), (j, b) in (
            ((0, "base"), (1, "sft")),
            ((1, "sft"), (2, "dpo")),
            ((0, "base"), (2, "dpo")),
        )
    ]
    guards = [
        ("no_call_rate", 0.034, 0.026, -0.008, -0.03, 0.014, False),
        ("call_rate", 0.961, 0.965, 0.004, -0.02, 0.03, False),
        ("tool_agreement", 0.842, 0.861, 0.019, -0.01, 0.05, False),
        ("argument_agreement", 0.411, 0.472, 0.061, 0.01, 0.11, False),
    ]
    return {
        "scores": [
            score(arm, code, counts[i], 423)
            for i, arm in enumerate(arms)
            for code, counts in COUNTS.items()
        ]
        + [
            score(arm, None, k, 141, "failure_rate_greedy")
            for arm, k in zip(arms, (100, 61, 31), strict=True)
        ],
        "paired": paired,
        "guards": [
            {
                "from": "sft",
                "to": "dpo",
                "metric": metric,
                "n": 400,
                "value_before": before,
                "value_after": after,
                "difference": change,
                "low": low,
                "high": high,
                "down": down,
            }
            for metric, before, after, change, low, high, down in guards
        ],
        "collateral": [
            {
                "from": "sft",
                "to": "dpo",
                "kind": kind,
                "prompts": prompts,
                "n": prompts * 3,
                "k": k,
                "value": k / prompts / 3,
                "low": 0.02,
                "high": 0.09,
                "n_before": prompts * 3,
                "k_before": old,
            }
            for kind, prompts, k, old in (("logged-clean", 70, 11, 40), ("clean-before", 52, 7, 0))
        ],
        "verdict": "ship",
        "why": "total failure rate 44.4% → 24.6% from sft to dpo (−19.9 points, interval −24.9 to "
        "−14.9, p < 0.0001, 141 families); no guard is down",
        "families": 141,
        "prompts": 141,
        "unanswered": 0,
        "confidence": 0.95,
        "before": "sft",
        "after": "dpo",
    }


def summary() -> dict[str, Any]:
    codes = {
        "WRONG_TYPE": (212, 0, 0),
        "ENUM": (148, 0, 0),
        "MISSING_REQUIRED": (96, 0, 0),
        "ARGS_UNPARSABLE": (61, 0, 0),
        "TOOL_ERROR": (57, 0, 12),
        "REP_LOOP": (18, 0, 0),
        "TOKEN_LEAK": (0, 9, 0),
        "ENV_ERROR": (0, 0, 7),
    }
    form = {"files": 6, "records": 1480, "set_aside": 1, "sessions": 702, "steps": 1893}
    return {
        "files": 12,
        "bytes": 5_400_000,
        "records": 2960,
        "ignored": {"progress": 31},
        "set_aside": {"not-json": 2},
        "sessions": 1404,
        "steps": 3786,
        "tool_calls": 3011,
        "failed_steps": 581,
        "suspect_steps": 9,
        "unjudged_steps": 402,
        "codes": {
            code: dict(zip(("defect", "suspect", "info"), counts, strict=True))
            for code, counts in codes.items()
        },
        "formats": {
            name: form | {"tool_calls": 1505, "failed_steps": 290}
            for name in ("openai-pairs", "claude-code")
        },
        "tools": {
            "convert_units": {"calls": 812, "failed": 201},
            "book_table": {"calls": 640, "failed": 133},
            "search_flights": {"calls": 590, "failed": 60},
            "weather": {"calls": 969, "failed": 0},
        },
        "seconds": 1.42,
    }


def pair(number: int, wrong: str, right: str, code: str = "WRONG_TYPE") -> dict[str, Any]:
    def call(arguments: str) -> list[dict[str, Any]]:
        function = {"name": "convert_units", "arguments": arguments}
        return [{"role": "assistant", "content": "", "tool_calls": [{"function": function}]}]

    start = wrong.find('"three"')
    return {
        "id": f"{number:016x}",
        "prompt": [
            {"role": "system", "content": "You are a helpful assistant with tools."},
            {"role": "user", "content": f"How many kilometres are three miles? (#{number})"},
        ],
        "chosen": call(right),
        "rejected": call(wrong),
        "tools": [{"type": "function", "function": {"name": "convert_units", "parameters": {}}}],
        "family": f"task-{number}",
        "source": "retry" if number % 2 else "sibling",
        "codes": [code],
        "edits": [],
        "origin_chosen": [{"file": "logs/a.jsonl", "line": number + 1, "format": "openai-pairs"}],
        "origin_rejected": [{"file": "logs/a.jsonl", "line": number, "format": "openai-pairs"}],
        "marks": [
            {
                "channel": "arguments",
                "call": 0,
                "start": start,
                "end": start + 7,
                "code": code,
                "evidence": "/value: expected number, got string",
            }
        ],
    }


WRONG = '{"value": "three", "from": "miles", "to": "km"}'
RIGHT = '{"value": 3, "from": "mi", "to": "km"}'


def training() -> Training:
    draw = random.Random(3)
    log = [
        {
            "step": step,
            "loss": 1.1 * math.exp(-step / 9) + 0.3 + draw.random() / 20,
            "rewards/accuracies": 1 - 0.5 * math.exp(-step / 6),
            "rewards/margins": 2 - 2 * math.exp(-step / 8),
            "logps/chosen": -20 - step / 30,
        }
        for step in range(1, 26)
    ]
    return Training(stage="dpo", log=log, steps=25, rows=182, seconds=214.0)


@pytest.fixture
def run() -> RunView:
    """A finished run that ships."""
    return RunView(
        title="demo",
        summary=summary(),
        page=page(),
        pairs=[pair(i, WRONG, RIGHT, "WRONG_TYPE" if i % 3 else "ENUM") for i in range(1, 9)],
        pairs_total=203,
        pairs_train=182,
        trained=182,
        sources={"retry": 120, "sibling": 83},
        refused={"chosen-not-clean": 31, "same-after-template": 4},
        unpaired=44,
        on_policy_share=0.93,
        scores=scores(),
        training=[training()],
        model="smollm2",
        adapter="runs/demo/adapter",
        config={"model": "smollm2", "dpo": {"beta": 0.5, "loss_type": ["sigmoid", "sft"]}},
        seconds={"scan": 1.4, "mine": 60.0, "dpo": 214.0},
        version="0.1.0",
    )


@pytest.fixture
def hostile() -> RunView:
    """A run in which every text that may come from a log is hostile."""
    rows = [pair(1, HOSTILE, RIGHT), pair(2, WRONG, HOSTILE)]
    rows[1] |= {"prompt": [{"role": HOSTILE, "content": HOSTILE}], "source": HOSTILE}
    rows[1] |= {"codes": [HOSTILE], "id": HOSTILE, "edits": [HOSTILE], "family": HOSTILE}
    rows[1] |= {"origin_chosen": [{"file": HOSTILE, "line": 1}], "origin_rejected": HOSTILE}
    rows[1]["tools"] = [{"function": {"name": HOSTILE}}]
    rows[1]["rejected"] = [{"tool_calls": [{"function": {"name": HOSTILE, "arguments": WRONG}}]}]
    rows[1]["marks"] = [{"channel": "arguments", "evidence": HOSTILE, "code": HOSTILE}]
    counts = summary() | {"tools": {HOSTILE: {"calls": 3, "failed": 2}}}
    counts["codes"] = {HOSTILE: {"defect": 3, "suspect": 0, "info": 0}}
    counts["set_aside"] = {HOSTILE: 1}
    return RunView(
        title=HOSTILE,
        summary=counts,
        page=hostile_page(),
        pairs=rows,
        scores=scores() | {"why": HOSTILE},
        model=HOSTILE,
        adapter=HOSTILE,
        config={HOSTILE: HOSTILE},
        seconds={HOSTILE: 1.0},
        refused={HOSTILE: 1},
        notes=[HOSTILE],
        training=[
            Training(stage=HOSTILE, log=[{"step": 1, "loss": 1.0}, {"step": 2, "loss": 0.5}])
        ],
    )


def rate(k: int, n: int, **more: Any) -> dict[str, Any]:
    low, high = max(0.0, k / n - 0.05), min(1.0, k / n + 0.05)
    return {"k": k, "n": n, "value": k / n, "low": low, "high": high, **more}


def example(code: str, level: str, **more: Any) -> dict[str, Any]:
    row = {
        "code": code,
        "level": level,
        "evidence": "expected number; got string",
        "tags": ["coercible"],
        "channel": "arguments",
        "where": "/value",
        "session": "0123456789abcdef",
        "step": 3,
        "model": "some-model",
        "place": {"file": "logs/a.jsonl", "line": 7, "format": "openai-chat", "inside": "row 3"},
        "blocks": [
            {
                "kind": "call",
                "title": "convert_units",
                "runs": [['{"value": ', ""], ['"three"', "mark"], ["}", ""]],
            }
        ],
    }
    return row | more


def page() -> dict[str, Any]:
    place = {"file": "logs/a.jsonl", "line": 7, "format": "openai-chat", "inside": ""}
    session = {"session": "0123456789abcdef", "place": place, "steps": 9, "judged": 8, "failed": 2}
    session |= {"strip": "ppfsfppup", "share": 1, "copies": 2, "codes": {"WRONG_TYPE": 2}}
    days = [rate(i % 3, 20 + i, name=f"2025-03-{i + 1:02}", all=30 + i) for i in range(9)]
    return {
        "codes": [
            rate(212, 3000, code="WRONG_TYPE", level="defect"),
            rate(57, 2000, code="TOOL_ERROR", level="defect"),
            rate(9, 2000, code="TOOL_ERROR", level="info"),
            rate(4, 3786, code="TOKEN_LEAK", level="suspect"),
        ],
        "tools": [rate(i % 4, 40, name=f"tool_{i:02}", all=50) for i in range(30)],
        "models": [
            rate(30, 400, name="some-model", all=500),
            rate(3, 100, name="", all=100),
            {"k": 0, "n": 0, "value": 0.0, "low": 0.0, "high": 1.0, "name": "silent", "all": 8},
        ],
        "days": [*days, rate(0, 5, name="", all=5)],
        "months": [rate(9, 216, name="2025-03", all=300)],
        "unknown": {"search": 12},
        "unknown_total": 3,
        "sessions": [session],
        "examples": {
            "TOOL_ERROR": [example("TOOL_ERROR", "defect", channel="transcript", where="")],
            "WRONG_TYPE": [example("WRONG_TYPE", "defect"), example("WRONG_TYPE", "defect")],
            "TOKEN_LEAK": [example("TOKEN_LEAK", "suspect", channel="content")],
        },
        "set_aside": [
            {
                "format": "openai-chat",
                "reason": "not-json",
                "count": 2,
                "said": "line 1 column 3",
                "origin": {"file": "logs/b.jsonl", "line": 4},
            }
        ],
        "ignored": [{"format": "claude-code", "reason": "progress", "count": 31}],
    }


@pytest.fixture
def scan() -> ScanView:
    """A scan with everything that its page shows."""
    wants = {"schema": {"count": 9, "what": "calls without a schema", "add": "--tools FILE"}}
    reasons = {"no tools are known": 300, "there is no answer": 102}
    counts = summary() | {"not_judged": wants, "unjudged": reasons}
    return ScanView(title="logs", summary=counts, page=page(), version="0.1.0")


def hostile_page() -> dict[str, Any]:
    """Rows of a failure page in which every text that may come from a log is hostile."""
    place = {"file": HOSTILE, "line": 1, "format": HOSTILE, "inside": HOSTILE}
    made = page()
    made["codes"] = [rate(3, 9, code=HOSTILE, level="defect")]
    for name in ("tools", "models"):
        made[name] = [rate(3, 9, name=HOSTILE, all=9)]
    made["sessions"][0] |= {"session": HOSTILE, "place": place, "codes": {HOSTILE: 1}}
    runs = [[HOSTILE, ""], [HOSTILE, "mark"], [HOSTILE, HOSTILE]]
    hostile = example(HOSTILE, "defect", evidence=HOSTILE, tags=[HOSTILE], where=HOSTILE)
    hostile |= {"session": HOSTILE, "model": HOSTILE, "place": place, "channel": "content"}
    kinds = ("text", "call", "reasoning", "result", "error")
    hostile["blocks"] = [{"kind": k, "title": HOSTILE, "runs": runs, "named": True} for k in kinds]
    made["examples"] = {HOSTILE: [hostile]}
    made["unknown"] = {HOSTILE: 1}
    aside = {"format": HOSTILE, "reason": HOSTILE, "count": 1, "said": HOSTILE, "origin": place}
    made["set_aside"] = made["ignored"] = [aside]
    return made


@pytest.fixture
def hostile_scan() -> ScanView:
    """A scan in which every text that may come from a log is hostile."""
    wants = {HOSTILE: {"count": 9, "what": HOSTILE, "add": HOSTILE}}
    counts = summary() | {"not_judged": wants, "unjudged": {HOSTILE: 3}}
    counts["codes"] = {HOSTILE: {"defect": 3, "suspect": 0, "info": 0}}
    return ScanView(title=HOSTILE, summary=counts, page=hostile_page())
