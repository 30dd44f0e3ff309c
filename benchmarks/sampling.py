"""What answers cost beside `generate` of transformers: same model, prompts, temperature and number.

    python benchmarks/sampling.py [--quick] --json FILE

Three answers to each prompt from SmolLM2-135M-Instruct in bfloat16 at temperature 0.7, 40 tokens
at most, nothing trained. Two works: `sessions`, the first steps of tau-bench sessions (a prompt for
each, up to 2,600 tokens; later ones go on from earlier ones), and `questions`, BFCL questions that
share nothing but the system turn. Each side is a process of its own with one thread. The peer sorts
its prompts by length and generates for `TOGETHER` of them at a time, padded on the left, which is
as much as fits beside misstep's batches. A side reports processor seconds of the call (the model is
loaded before), tokens and peak memory. Ratios are the peer's cost over misstep's, per token for
time: the two draw different answers.

MISSTEP_CORPUS names the folder of real logs, BFCL_EVAL the package `bfcl_eval`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import resource
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

MODEL = "smollm2"
ANSWERS, TEMPERATURE, TOKENS = 3, 0.7, 40
SIZES = {"sessions": 24, "questions": 64}
QUICK = {"sessions": 4, "questions": 6}
LONGEST, OF_A_SESSION = 2_600, 6
TOGETHER = 8
SIDES = ("misstep", "transformers")


def prompts(work: str, count: int) -> list[list[int]]:
    """Token ids of the first so many prompts of a work."""
    from misstep import models

    template = models.load_tokenizer(MODEL)[1]
    if work == "questions":
        from parts.lab_questions import questions

        asked = questions()["heldout"][:count]
        return [template.prompt_ids(q.messages, q.context) for q in asked]
    return _steps(template, count)


def _steps(template: Any, count: int) -> list[list[int]]:
    from misstep import api
    from misstep.config import RunConfig
    from misstep.pipeline import mining
    from misstep.types import Prompt

    log = min((Path(os.environ["MISSTEP_CORPUS"]) / "logs/tau-bench").rglob("*.json"))
    corpus = mining.corpus(api.scan([log], RunConfig(model=MODEL)))
    found: list[list[int]] = []
    for session in sorted(corpus.sessions.values(), key=lambda each: each.id):
        steps = [at for at, m in enumerate(session.messages) if m.role == "assistant"]
        for at in steps[:OF_A_SESSION]:
            prompt = Prompt(session=session.id, step=at)
            ids = template.prompt_ids(session.messages[:at], corpus.context(prompt))
            if len(ids) <= LONGEST:
                found.append(ids)
    return found[:count]


def ours(loaded: Any, asked: list[list[int]]) -> int:
    """misstep's sampler; gives the tokens that it made."""
    from misstep import models

    how = {"num_generations": ANSWERS, "temperature": TEMPERATURE, "max_new_tokens": TOKENS}
    drawn = models.sample(loaded, asked, seed=1, **how)
    return sum(len(answer.ids) for some in drawn for answer in some)


def theirs(loaded: Any, asked: list[list[int]]) -> int:
    """`generate` of transformers; gives the tokens that it made."""
    import torch

    from misstep.models.generate import stop_ids

    stop, made = sorted(stop_ids(loaded)), 0
    torch.manual_seed(1)
    by_length = sorted(asked, key=len)
    for at in range(0, len(by_length), TOGETHER):
        some = by_length[at : at + TOGETHER]
        width = max(map(len, some))
        ids = torch.tensor([[stop[0]] * (width - len(row)) + row for row in some])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in some])
        with torch.inference_mode():
            out = loaded.model.generate(
                ids,
                attention_mask=mask,
                do_sample=True,
                temperature=TEMPERATURE,
                top_k=0,
                num_return_sequences=ANSWERS,
                max_new_tokens=TOKENS,
                eos_token_id=stop,
                pad_token_id=stop[0],
            )
        for row in out[:, width:].tolist():
            ends = [n for n, token in enumerate(row) if token in stop]
            made += ends[0] + 1 if ends else len(row)
    return made


def side(name: str, work: str, count: int) -> dict[str, Any]:
    """One side, in this process."""
    import torch

    from misstep import models

    torch.set_num_threads(1)
    asked, loaded = prompts(work, count), models.load(MODEL)
    before = time.process_time()
    tokens = (ours if name == "misstep" else theirs)(loaded, asked)
    return {
        "arm": name,
        "work": work,
        "n": len(asked),
        "prompt_tokens": sum(map(len, asked)),
        "tokens": tokens,
        "cpu_seconds": round(time.process_time() - before, 1),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    }


def apart(name: str, work: str, count: int) -> dict[str, Any]:
    """One side, in a process of its own."""
    words = [sys.executable, __file__, "--side", name, work, str(count)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few prompts: a check of the works")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--side", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        name, work, count = args.side
        print(json.dumps(side(name, work, int(count))))
        return
    if args.json is None:
        parser.error("--json FILE is missing")
    rows, ratios = [], {}
    for work, count in (QUICK if args.quick else SIZES).items():
        mine, peer = (apart(name, work, count) for name in SIDES)
        rows += [mine, peer]
        per_token = (each["cpu_seconds"] / each["tokens"] for each in (peer, mine))
        ratios[f"{work}: time"] = round(next(per_token) / next(per_token), 2)
        ratios[f"{work}: memory"] = round(peer["peak_gb"] / mine["peak_gb"], 2)
    found = {
        "name": "sampling",
        "machine": f"{platform.machine()}, {platform.system()}",
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
        "versions": {name: version(name) for name in ("torch", "transformers")},
        "rows": rows,
        "ratios": ratios,
    }
    args.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
