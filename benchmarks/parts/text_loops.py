"""Text loops: precision, recall, false alarms and speed, beside four simpler rules, in one run.

Positives and clean answers are the labelled ones in `tests/cases/loops`; further negatives are real
files of this machine (prose, code, data), drawn by hash from the Python environment and its
standard library, or from the folders in MISSTEP_NEGATIVES, and the assistant texts of the logs in
MISSTEP_CORPUS. Every false alarm and every miss is listed. Nothing of the files is kept.
"""

from __future__ import annotations

import base64
import collections
import hashlib
import json
import os
import random
import sysconfig
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from misstep.types import Finding, Message, Part, Session
from misstep.validate import Settings
from misstep.validate.text_loop import VALIDATOR
from misstep.validate.transcript import Transcript
from misstep.validate.validator import Step

LABELS = Path(__file__).parents[2] / "tests" / "cases" / "loops" / "labels.jsonl"
KINDS = {
    "prose": "md rst txt license licence copying notice html htm pod authors news readme changes",
    "code": "py pyi pyx pxd c h cc cpp hpp cuh js ts pl pm sh css f90 cmake jinja sql vim lua rs",
    "data": "json yaml yml toml csv tsv svg xml pem lock list conf cfg ini dectest ipynb tab pom "
    "png gif jpg woff2 ico",
}
SIZES = (1500, 12_000)
"""Characters of a file that are taken, drawn by the hash of its path."""
DRAWN = 4500
"""Files drawn, all kinds together."""


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


def labelled() -> list[dict[str, Any]]:
    """The labelled answers."""
    return [json.loads(line) for line in LABELS.read_text(encoding="utf-8").splitlines()]


def folders() -> list[Path]:
    """Where negatives are drawn from."""
    given = os.environ.get("MISSTEP_NEGATIVES")
    if given:
        return [Path(one) for one in given.split(os.pathsep)]
    paths = sysconfig.get_paths()
    return [Path(paths["purelib"]), Path(paths["stdlib"])]


def kind_of(path: Path) -> str | None:
    """Prose, code or data, by the name's end; None for the rest."""
    word = (path.suffix[1:] or path.name).lower()
    return next((kind for kind, ends in KINDS.items() if word in ends.split()), None)


def files(count: int) -> Iterator[dict[str, Any]]:
    """Negatives: parts of files, as many of each kind as there are, up to a third of `count`."""
    ranked: dict[str, list[tuple[bytes, Path]]] = {kind: [] for kind in KINDS}
    for folder in folders():
        for path in folder.rglob("*"):
            kind = kind_of(path)
            if kind is not None and path.is_file() and path.stat().st_size >= SIZES[0]:
                ranked[kind].append((hashlib.sha256(str(path).encode()).digest(), path))
    for kind, found in ranked.items():
        seen: set[str] = set()
        for digest, path in sorted(found):
            text = cut(path, digest)
            if text is not None and text not in seen:
                seen.add(text)
                yield {"id": str(path), "kind": kind, "text": text}
            if len(seen) >= count // 3:
                break


def cut(path: Path, digest: bytes) -> str | None:
    """A part of a file, of a size and at a line drawn by the hash; None for what is no text.

    Pictures and fonts are written in base64, every other JSON file without white space.
    """
    rnd = random.Random(digest)
    try:
        text = as_text(path, digest)
    except (OSError, ValueError, RecursionError):
        return None
    size = rnd.randint(*SIZES)
    start = text.rfind("\n", 0, rnd.randint(0, max(len(text) - size, 0)) + 1) + 1
    part = text[start : start + size].rstrip()
    return part if len(part) >= SIZES[0] * 0.8 else None


def as_text(path: Path, digest: bytes) -> str:
    """The beginning of a file as text.

    Raises:
        ValueError: it is neither text nor one of the kinds that are written as text.
    """
    data = path.read_bytes()[:400_000]
    if path.suffix.lower() in (".png", ".gif", ".jpg", ".woff2", ".ico"):
        wide = base64.encodebytes(data).decode()
        return wide if digest[1] % 2 else wide.replace("\n", "")
    text = data.decode("utf-8")
    if path.suffix == ".json" and digest[1] % 2:
        return json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)
    return text


def answers() -> Iterator[dict[str, Any]]:
    """Negatives: what assistants wrote in real logs, texts and arguments of 300 characters on."""
    corpus = os.environ.get("MISSTEP_CORPUS")
    if not corpus:
        return
    from misstep.config import IngestConfig
    from misstep.ingest import ingest

    seen: set[str] = set()
    for session in ingest([Path(corpus) / "logs"], config=IngestConfig(workers=1)).sessions:
        for step in session.steps:
            message = session.messages[step]
            for text in (message.text, message.reasoning, *(c.arguments for c in message.calls)):
                if len(text) >= 300 and text not in seen:
                    seen.add(text)
                    yield {"id": f"{session.format} {session.id}/{step}", "kind": "answers"} | {
                        "text": text
                    }


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
    """One row for each rule, the speed of the cascade, the hard texts."""
    told = labelled()
    negatives = [*files(DRAWN // 3 if quick else DRAWN), *answers()]
    rows: list[dict[str, Any]] = []
    for name, arm in ARMS.items():
        began = time.perf_counter()
        of_labelled, of_real = confusion(told, arm), confusion(negatives, arm)
        seconds = time.perf_counter() - began
        tp, fn, fp = (of_labelled.get(key, 0) for key in ("tp", "fn", "fp"))
        row: dict[str, Any] = {
            "arm": name,
            "work": "labelled answers; real negatives",
            "n": len(told) + len(negatives),
            "seconds": round(seconds, 3),
            "precision": round(tp / (tp + fp), 4) if tp + fp else None,
            "recall": round(tp / (tp + fn), 4),
            "labelled": {k: v for k, v in of_labelled.items() if k != "listed"},
        }
        for kind in (*KINDS, "answers"):
            total, wrong = of_real.get(f"n_{kind}", 0), of_real.get(f"fp_{kind}", 0)
            row[f"false_alarms_{kind}"] = {"n": total, "k": wrong, "rate": rate(wrong, total)}
        if name == "misstep":
            row["listed"] = of_labelled["listed"] + of_real["listed"]
        rows.append(row)
    return {"rows": [*rows, *speed(told, negatives), *hard()], "ratios": {}}


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
