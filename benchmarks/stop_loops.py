"""Cutting loops off while they are written: what it saves, and whether any verdict changes.

    python benchmarks/stop_loops.py [--quick] --json FILE

Labelled answers (`tests/cases/loops`): each is cut where generation would have cut it. Answers
drawn now from SmolLM2 to prompts that are known for loops: greedy, whole and again with loops cut
off, so that time is measured; at 0.7 whole, and cut where generation would have cut. A verdict is
what the validators say of the answer in the place of its step: its state and its codes.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from parts.text_loops import LABELS
from sample_loops import PROMPTS

from misstep import models, validate
from misstep.config import LimitsConfig
from misstep.types import Context, Message, Part, Session

TOKENS = 640
KINDS = ("list", "json", "transcription", "table")


def verdict(prompt: str, text: str, finish: str) -> tuple[str, tuple[str, ...]]:
    """State and codes of an answer to a prompt."""
    asked = Message(role="user", parts=(Part(kind="text", text=prompt),))
    answer = Message(role="assistant", parts=(Part(kind="text", text=text),), finish_reason=finish)
    session = Session(id="s", format="bench", messages=(asked, replace(answer, finish_reason=None)))
    found = validate.judge(session, 1, answer, settings=validate.Settings())[1]
    return found.state, found.codes


def asked(prompt: str) -> int:
    """Repetitions that a prompt asks for."""
    message = Message(role="user", parts=(Part(kind="text", text=prompt),))
    return validate.asked_of(Session(id="s", format="bench", messages=(message,)), 1)


def labelled() -> dict[str, Any]:
    """The labelled answers, cut at the first look that would cut them; four characters a token."""
    changed, cut, saved, total = [], 0, 0, 0
    for name in ("labels", "held_out"):
        for line in (LABELS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            text, prompt = row["text"], row["prompt"]
            total += len(text)
            for end in range(4 * models.LOOK, len(text), 4 * models.LOOK):
                if validate.running_on(text[:end], LimitsConfig(), asked(prompt)):
                    cut, saved = cut + 1, saved + len(text) - end
                    before = verdict(prompt, text, row["finish"])
                    after = verdict(prompt, text[:end], "length")
                    if before != after:
                        changed.append([row["id"], row["label"], before, after])
                    break
    return {
        "arm": "labelled",
        "n": 180,
        "cut": cut,
        "characters": total,
        "saved": saved,
        "changed": changed,
    }


def asked_ids(loaded: models.Loaded, count: int) -> tuple[list[str], list[list[int]]]:
    """Prompts that are known for loops, kinds in turn, and their tokens."""
    turns = zip(*(PROMPTS[kind] for kind in KINDS), strict=False)
    prompts = [prompt for row in turns for prompt in row][:count]
    ids = [
        loaded.template.prompt_ids(
            [Message(role="user", parts=(Part(kind="text", text=prompt),))], Context()
        )
        for prompt in prompts
    ]
    return prompts, ids


def drawn(
    loaded: models.Loaded, count: int, temperature: float, *, stop: bool
) -> tuple[list[str], list[models.Answer], dict[str, Any]]:
    """Answers, whole or cut while they are written, and what they cost."""
    prompts, ids = asked_ids(loaded, count)
    how: dict[str, Any] = {"temperature": temperature, "max_new_tokens": TOKENS}
    if stop:
        how["stop_loops"] = models.StopLoops(asked=tuple(map(asked, prompts)))
    started, busy = time.perf_counter(), time.process_time()
    answers = [given for (given,) in models.sample(loaded, ids, **how)]
    row = {
        "arm": "cut" if stop else "whole",
        "work": f"temperature {temperature:g}",
        "n": len(answers),
        "tokens": sum(len(answer.ids) for answer in answers),
        "at_the_cap": sum(answer.finish_reason == "length" for answer in answers),
        "seconds": round(time.perf_counter() - started, 1),
        "cpu_seconds": round(time.process_time() - busy, 1),
    }
    print(json.dumps(row), flush=True)
    return prompts, answers, row


def compared(
    prompts: list[str], whole: list[models.Answer], short: list[models.Answer]
) -> dict[str, Any]:
    """Verdicts of the same answers, whole and cut."""
    changed, loops, differ = [], 0, 0
    for prompt, one, other in zip(prompts, whole, short, strict=True):
        before = verdict(prompt, one.text, one.finish_reason)
        after = verdict(prompt, other.text, other.finish_reason)
        loops += any(code.startswith("REP") for code in before[1])
        differ += before[0] != after[0]
        changed += [[prompt, before, after]] if before != after else []
    return {"loops": loops, "other_state": differ, "other_codes": changed}


def simulated(loaded: models.Loaded, prompt: str, answer: models.Answer) -> models.Answer:
    """The answer as `stop_loops` would leave it: its draws do not depend on other answers."""
    for end in range(models.LOOK, len(answer.ids), models.LOOK):
        ids = answer.ids[:end]
        text = str(loaded.tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))
        if validate.running_on(text, LimitsConfig(), asked(prompt)):
            return replace(answer, text=text, ids=ids, finish_reason="length")
    return answer


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path, required=True)
    args = parser.parse_args()
    rows = [labelled()]
    loaded = models.load("smollm2")
    count = 8 if args.quick else 24
    prompts, whole, first = drawn(loaded, count, 0.0, stop=False)
    _, short, cut = drawn(loaded, count, 0.0, stop=True)
    rows += [first, {**cut, **compared(prompts, whole, short)}]
    if not args.quick:
        prompts, whole, first = drawn(loaded, count, 0.7, stop=False)
        short = [simulated(loaded, *both) for both in zip(prompts, whole, strict=True)]
        tokens = sum(len(answer.ids) for answer in short)
        made = {"arm": "simulated", "work": first["work"], "n": count, "tokens": tokens}
        rows += [first, {**made, **compared(prompts, whole, short)}]
    greedy = [row["tokens"] for row in rows[1:3]]
    result = {
        "name": "stop_loops",
        "machine": f"{platform.machine()}, {platform.system()}",
        "date": datetime.date.today().isoformat(),
        "versions": {"python": platform.python_version(), "misstep": version("misstep")},
        "rows": rows,
        "ratios": {"tokens_saved": round(1 - greedy[1] / greedy[0], 4)},
    }
    args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result["ratios"]))


if __name__ == "__main__":
    main()
