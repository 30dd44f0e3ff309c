"""Text loops: precision, recall, false alarms and speed, beside four simpler rules, in one run.

Positives and clean answers are labelled by reading (`tests/cases/loops`): those on which thresholds
were chosen, and held-out ones, whose labels were frozen before any of them was judged. Further
negatives are real files and the assistant texts of real logs (`negatives`); beside the held-out
answers stand files of other folders. Every false alarm and every miss is listed.
"""

from __future__ import annotations

import collections
import json
import random
import time
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from parts.negatives import answers, elsewhere, files, folders

from misstep.types import Finding, Message, Part, Session
from misstep.validate import Settings
from misstep.validate.text_loop import VALIDATOR
from misstep.validate.transcript import Transcript
from misstep.validate.validator import Step

LABELS = Path(__file__).parents[2] / "tests" / "cases" / "loops"
DRAWN = 4500
"""Files drawn, all kinds together."""
HELD_OUT = 4500
"""Files of other folders, drawn beside the held-out answers."""


def judge(text: str, prompt: str = "go on", finish: str = "stop") -> list[Finding]:
    """What the cascade says about an answer."""
    return list(VALIDATOR.check(answered(text, prompt, finish)))


def answered(text: str, prompt: str = "go on", finish: str = "stop") -> Step:
    """One answer as a step of a session."""
    messages = (
        Message(role="user", parts=(Part(kind="text", text=prompt),)),
        Message(role="assistant", parts=(Part(kind="text", text=text),), finish_reason=finish),
    )
    session = Session(id="bench", format="bench", messages=messages)
    return Step(session=session, index=1, settings=Settings(), transcript=Transcript(session))


def cascade(row: dict[str, Any]) -> bool:
    found = judge(row["text"], row.get("prompt", "go on"), row.get("finish", "stop"))
    return any(f.level == "defect" for f in found)


def compression(row: dict[str, Any]) -> bool:
    """Whisper's rule: bytes over compressed bytes above 2.4."""
    data = row["text"].encode("utf-8", "replace")
    return bool(data) and len(data) / len(zlib.compress(data)) > 2.4


def seq_rep(row: dict[str, Any]) -> bool:
    """seq-rep-4 above one half: the share of word 4-grams that stood before."""
    words = row["text"].split()
    grams = list(zip(words, words[1:], words[2:], words[3:], strict=False))
    return bool(grams) and 1 - len(set(grams)) / len(grams) > 0.5


def tail_ngram(row: dict[str, Any]) -> bool:
    """The last 1 to 20 words four times on end, at the very end (as servers stop a generation)."""
    words = row["text"].split()[-80:]
    return any(
        len(words) >= 4 * n
        and words[-n:] == words[-2 * n : -n] == words[-3 * n : -2 * n] == words[-4 * n : -3 * n]
        for n in range(1, 21)
    )


def sliding_hash(row: dict[str, Any]) -> bool:
    """A 50-character chunk ten times within a mean distance of 250 (as an agent CLI watches)."""
    text = row["text"]
    seen: dict[int, collections.deque[int]] = {}
    for at in range(len(text) - 49):
        places = seen.setdefault(hash(text[at : at + 50]), collections.deque(maxlen=10))
        places.append(at)
        if len(places) == 10 and (places[-1] - places[0]) / 9 <= 250:
            return True
    return False


ARMS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "misstep": cascade,
    "compression ratio > 2.4": compression,
    "seq-rep-4 > 0.5": seq_rep,
    "tail n-gram x4": tail_ngram,
    "sliding hash 50x10": sliding_hash,
}


def labelled(name: str = "labels") -> list[dict[str, Any]]:
    """The labelled answers of a file."""
    text = (LABELS / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def confusion(rows: Iterable[dict[str, Any]], arm: Callable[[dict[str, Any]], bool]) -> dict:
    """Hits and misses of one rule over labelled and unlabelled texts."""
    counts: collections.Counter[str] = collections.Counter()
    listed: list[str] = []
    for row in rows:
        label = row.get("label", "clean")
        hit = arm(row)
        if label == "loop":
            counts["tp" if hit else "fn"] += 1
            if not hit:
                listed.append(f"missed {row['id']}")
        elif label == "clean":
            counts["fp" if hit else "tn"] += 1
            counts[f"fp_{row['kind']}"] += hit
            counts[f"n_{row['kind']}"] += 1
            if hit:
                listed.append(f"false alarm {row['id']}")
        else:
            counts[f"{label}_hit" if hit else f"{label}_quiet"] += 1
    return dict(counts) | {"listed": listed}


def run(quick: bool) -> dict[str, Any]:
    """Two rows for each rule, the speed of the cascade, the hard texts."""
    told = labelled()
    drawn = DRAWN // 3 if quick else DRAWN
    negatives = [*files(drawn, folders()), *answers()]
    held = labelled("held_out")
    others = list(files(HELD_OUT // 3 if quick else HELD_OUT, elsewhere()))
    rows: list[dict[str, Any]] = []
    for name, arm in ARMS.items():
        rows.append(measured("labelled answers; real negatives", name, arm, told, negatives))
        rows.append(measured("held-out answers; other negatives", name, arm, held, others))
    ours = {row["work"][:4]: row for row in rows if row["arm"] == "misstep"}
    ratios = {
        f"{part}_{key}": row[key]
        for part, row in (("labelled", ours["labe"]), ("held_out", ours["held"]))
        for key in ("precision", "recall", "precision_with_negatives")
    }
    return {"rows": [*rows, *speed(told, negatives), *hard()], "ratios": ratios}


def measured(
    work: str,
    name: str,
    arm: Callable[[dict[str, Any]], bool],
    told: list[dict[str, Any]],
    negatives: list[dict[str, Any]],
) -> dict[str, Any]:
    """One rule on labelled answers and on real texts that are no loops."""
    began = time.perf_counter()
    of_labelled, of_real = confusion(told, arm), confusion(negatives, arm)
    seconds = time.perf_counter() - began
    tp, fn, fp = (of_labelled.get(key, 0) for key in ("tp", "fn", "fp"))
    row: dict[str, Any] = {
        "arm": name,
        "work": work,
        "n": len(told) + len(negatives),
        "seconds": round(seconds, 3),
        "precision": rate(tp, tp + fp),
        "precision_with_negatives": rate(tp, tp + fp + of_real.get("fp", 0)),
        "recall": rate(tp, tp + fn),
        "recall_interval": interval(tp, tp + fn),
        "labelled": {k: v for k, v in of_labelled.items() if k != "listed"},
    }
    for kind in sorted({each["kind"] for each in negatives}):
        total, wrong = of_real.get(f"n_{kind}", 0), of_real.get(f"fp_{kind}", 0)
        row[f"false_alarms_{kind}"] = {"n": total, "k": wrong, "rate": rate(wrong, total)}
    if name == "misstep":
        row["listed"] = of_labelled["listed"] + of_real["listed"]
    return row


def interval(k: int, n: int) -> list[float] | None:
    """Wilson's, at 95 %."""
    if not n:
        return None
    z, share = 1.96, k / n
    middle = (share + z * z / 2 / n) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / 4 / n / n) ** 0.5
    return [round(middle - half, 4), round(middle + half, 4)]


def rate(k: int, n: int) -> float | None:
    return round(k / n, 5) if n else None


def speed(told: list[dict[str, Any]], negatives: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Megabytes a second of one core's time, of the validator's whole check of steps as read."""
    ordinary = [r for r in negatives if r["kind"] == "answers"] or [
        r for r in negatives if r["kind"] == "prose"
    ]
    works = {
        "ordinary answers": ordinary,
        "files": [r for r in negatives if r["kind"] != "answers"],
        "loops": [r for r in told if r["label"] == "loop"],
    }
    made = []
    for work, rows in works.items():
        best, size = 0.0, sum(len(r["text"].encode("utf-8", "replace")) for r in rows)
        for _ in range(5):
            steps = [
                answered(r["text"], r.get("prompt", "go on"), r.get("finish", "stop")) for r in rows
            ]
            began = time.process_time()
            for step in steps:
                list(VALIDATOR.check(step))
            best = max(best, size / 1e6 / (time.process_time() - began))
        made.append(
            {"arm": "misstep", "work": f"speed: {work}", "n": len(rows)}
            | {"mb": round(size / 1e6, 2), "mb_per_second": round(best, 1)}
        )
    return made


def hard() -> list[dict[str, Any]]:
    """Texts built to be slow; each must be judged within a second."""
    rnd = random.Random(7)
    unit = "".join(rnd.choice("abcdefghij \n") for _ in range(4095))
    texts = {
        "10 MB of one character": "a" * 10_000_000,
        "1 MB with a period of 4,095": (unit * 250)[:1_000_000],
        "1 MB of 4,095 a and one b": ("a" * 4095 + "b") * 245,
        "1 MB of ab with breaks": ("ab" * 2000 + "c" + "ab" * 40) * 240,
        "1 MB of Fibonacci words": fibonacci(1_000_000),
        "1 MB of growing runs": "".join("a" * (i % 4096) + "b" for i in range(700))[:1_000_000],
        "1 MB of two letters at random": "".join(rnd.choices("ab", k=1_000_000)),
        "1 MB of counted lines": "".join(f"{i}. go on\n" for i in range(90_000)),
        "1 MB of opening brackets": "[" * 1_000_000,
        "1 MB JSON list of equal strings": '["' + '", "'.join(["x" * 20] * 40_000) + '"]',
        "1 MB of spaces and commas": ", " * 500_000,
        "1 MB of JSON gaps": "{" + ",\n".join([" " * 190 + '"a": 1'] * 5000),
    }
    made = []
    for name, text in texts.items():
        began = time.process_time()
        found = judge(text)
        seconds = time.process_time() - began
        made.append(
            {"arm": "misstep", "work": f"hard: {name}", "n": len(text)}
            | {"seconds": round(seconds, 3), "codes": sorted({f.code for f in found})}
        )
    return made


def fibonacci(size: int) -> str:
    """A word with many squares and no fourth power."""
    a, b = "a", "ab"
    while len(b) < size:
        a, b = b, b + a
    return b[:size]


if __name__ == "__main__":
    import sys

    print(json.dumps(run("--quick" in sys.argv), indent=1, ensure_ascii=False))
