"""Whether failures that have a valid sibling are paired: logs of a small model on BFCL questions.

    python benchmarks/bfcl_logs.py [--seed N] --json FILE

SmolLM2, after one epoch of SFT on references, answers 192 questions of the train part 8 times each
at temperature 1.0, and all of the dev part 4 times each at 0.7 and at 1.0 (`parts/lab_arms.py`).
The answers become an ordinary log of a chat API, and `misstep mine` pairs it three times: with its
caps lifted and no doubt raised about a clean answer, where at least 95 of 100 failures with a clean
sibling must be paired; so, but with the usual doubts (`mine.supported_values`, two votes for each
chosen side); and as it comes. The log, a
`--references` file and 40 pairs of each, drawn at random, in a form to be read, lie in
`MISSTEP_LAB/logs`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from parts import lab_measure, lab_model
from parts.lab_arms import ANSWERS, Lab
from parts.lab_keep import home, say
from parts.lab_questions import questions

from misstep import api, store
from misstep.chat import prompt_keys
from misstep.config import MineConfig, RunConfig
from misstep.mine.source import answer_id, keeps_tools
from misstep.pipeline import mining
from misstep.types import Context, Message

DRAWN = 40
NO_CAP = 1_000_000
LIFTED = MineConfig(
    sources=("sibling",),
    heldout=0.0,
    dev=0.0,
    max_pairs_per_prompt=NO_CAP,
    max_pairs_per_family=NO_CAP,
    near_duplicate=1.0,
    supported_values=False,
    min_votes=1,
)
DEFAULT = MineConfig(sources=("sibling",), heldout=0.0, dev=0.0)
VOTED = replace(LIFTED, supported_values=True, min_votes=2)


def main() -> None:
    args = _arguments()
    folder = home() / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"bfcl-{args.seed}.jsonl"
    if not log.exists():
        write(log, folder / "references.jsonl", args.seed)
    rows = []
    for name, mine in (("caps lifted", LIFTED), ("voted", VOTED), ("defaults", DEFAULT)):
        run = folder / f"run-{args.seed}-{name.replace(' ', '-')}"
        config = RunConfig(model=lab_model.MODEL, mine=mine, validate=lab_model.VALIDATE)
        facts = api.mine([log], run, config, resample=False)
        rows.append({"arm": name, **measured(log, config, facts)})
        say(json.dumps(rows[-1]))
        drawn(run, folder / f"pairs{DRAWN}-{name.replace(' ', '-')}.txt")
    record(args.json, args.seed, rows)


def write(log: Path, references: Path, seed: int) -> None:
    """The log and the references; the answers are those that the ablation samples anyway."""
    lab = Lab(questions(), "dev", seed)
    given = lab.answers(lab.start())
    for temperature in lab_measure.TEMPERATURES:
        given += lab_model.answers(
            lab.asked["dev"], lab.start(), temperature=temperature, count=ANSWERS["dev"]
        )
    store.write_jsonl(references, lab_model.references(q for q, _ in given))
    lab_model.write_log(log, given, lab_model.MODEL)


@dataclass(frozen=True, slots=True)
class Prompted:
    """What the log holds of one prompt: how many answers of each state, and the clean ones."""

    states: Counter[str]
    clean: list[Message]


def measured(log: Path, config: RunConfig, facts: Mapping[str, Any]) -> dict[str, Any]:
    """How many distinct failures have a clean sibling, and how many of those are paired."""
    corpus = mining.corpus(api.scan([log], config))
    prompts: dict[str, Prompted] = {}
    failures: dict[str, tuple[str, Message, Context]] = {}
    for name, session in corpus.sessions.items():
        for step, key in prompt_keys(session).items():
            answer, state = session.messages[step], corpus.verdicts[name, step].state
            found = prompts.setdefault(key, Prompted(Counter(), []))
            found.states[state] += session.copies
            if state == "pass":
                found.clean.append(answer)
            if state == "fail":
                failures[answer_id(key, answer)] = (key, answer, session.context_of(step))
    possible = [each for each in failures.values() if prompts[each[0]].clean]
    alike = [each for each in possible if _same_tool(each, prompts[each[0]].clean)]
    total = sum((found.states for found in prompts.values()), Counter[str]())
    return {
        "prompts": len(prompts),
        "answers": total.total(),
        "failed_answers": total["fail"],
        "distinct_failures": len(failures),
        "with_clean_sibling": len(possible),
        "with_clean_sibling_of_that_tool": len(alike),
        "paired": facts["paired_failures"],
        "share": round(facts["paired_failures"] / len(possible), 4),
        "share_of_that_tool": round(facts["paired_failures"] / len(alike), 4),
        "pairs": facts["pairs"],
        "codes": facts["codes"],
        "refused": facts["refused"],
    }


def _same_tool(failure: tuple[str, Message, Context], clean: list[Message]) -> bool:
    """A clean sibling calls what the failure called, where that was a choice on offer."""
    _, answer, context = failure
    offered = {tool.name for tool in context.tools}
    return any(keeps_tools(other, answer, offered) for other in clean)


def drawn(run: Path, path: Path) -> None:
    """`DRAWN` pairs as text, for a person."""
    rows = sorted(store.read_rows(run / "pairs/train.parquet"), key=lambda row: row["id"])
    some = random.Random(0).sample(rows, min(DRAWN, len(rows)))
    texts = [f"=== {at} of {len(some)}\n{readable(row)}" for at, row in enumerate(some, 1)]
    store.write_text(path, "\n\n".join(texts) + "\n")


def readable(row: Mapping[str, Any]) -> str:
    """One pair."""
    lines = [f"{row['id']}  source {row['source']}  codes {', '.join(row['codes'])}"]
    for tool in json.loads(row["tools"]):
        function = tool["function"]
        lines.append(f"TOOL {function['name']}: {json.dumps(function['parameters'])}")
    lines += [f"{m['role'].upper()} {m['content']}" for m in row["prompt"]]
    for side in ("rejected", "chosen"):
        lines += [f"--- {side}", *_said(row[side][0])]
    return "\n".join(lines)


def _said(message: Mapping[str, Any]) -> Iterator[str]:
    if message.get("content"):
        yield str(message["content"])
    for call in message.get("tool_calls") or ():
        yield f"{call['function']['name']} {call['function']['arguments']}"


def record(path: Path, seed: int, rows: list[dict[str, Any]]) -> None:
    """Write the results."""
    whole = {
        "name": "bfcl_pairs",
        "machine": f"{platform.machine()}, {platform.system()}",
        "date": str(datetime.date.today()),
        "model": "SmolLM2-135M-Instruct after one epoch of SFT on 240 references",
        "seed": seed,
        "rows": rows,
    }
    store.write_json(path, whole)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
