"""Draw short answers in which single failures show: what some case files were drawn with.

    python benchmarks/sample_shapes.py OUT.jsonl [--seed N]

Asks the embedded model for JSON, for code under a tight token limit, and for wide gaps. Each line
of OUT holds one answer with its prompt, how it was drawn, whether JSON was asked for, and the codes
that misstep finds; `tests/cases/sampled/README.md` says which were kept.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

JSON = (
    "Write this Python dictionary as JSON: {'name': 'Ann', 'old': True, 'nick': None}",
    "Return JSON with the keys id and total; the id is 12345678901234567890123.",
    "Return a JSON array of five measurements; the third one is not a number (NaN).",
    "Return JSON: the ratio of one to zero, under the key ratio. Only JSON.",
    "Return two JSON objects, one for Ann and one for Ben, with name and age.",
    r"Return JSON with the key path; the file lies in C:\new\data\users. Only JSON.",
    "Return a JSON object with five settings of an editor. Only JSON.",
    "Return the days of the week as a JSON list. Only JSON.",
    "Answer in JSON with the keys question and answer: what is the capital of Norway?",
    "Return JSON: a note with the text 'first line, new line, second line'. Only JSON.",
    "Give the colours red, green and blue as JSON with their hex codes.",
    "Return JSON for a person with two phone numbers, each under the key phone.",
)
FENCED = (
    "Write a bash script that counts the lines of all files in a folder.",
    "Write a Python function that sorts a list of names by their last word.",
    "Show the first ten lines of a configuration file for a web server.",
    "Write an SQL table for a library.",
)
WIDE = (
    "Write a table with three columns that are very wide and empty.",
    "Indent each line more than the one before it: one, two, three, and so on up to forty.",
    "Draw a picture of the night sky with spaces and a few stars.",
    "Write a form with large empty fields.",
    "Write JSON, each level indented by twenty more spaces than the last, ten levels deep.",
    "Leave a lot of empty lines, then write the word end.",
    "Write a page with nothing on it but a title.",
    "Centre the word hello in a line of two hundred characters.",
)
NOTHING = ("Say nothing at all.", "Answer with an empty message.")
SETS: dict[str, tuple[tuple[str, ...], int, int, float]] = {
    "json": (JSON, 8, 120, 1.0),
    "fenced": (FENCED, 4, 48, 0.7),
    "wide": (WIDE, 4, 320, 0.7),
    "wide greedy": (WIDE, 1, 320, 0.0),
    "nothing": (NOTHING, 8, 40, 1.3),
}
"""By set: prompts, answers to each, token limit, temperature."""


def main() -> None:
    """Draw every set, and write the answers with what is found in them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rows = [row for name in SETS for row in drawn(name, given.seed)]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    given.out.write_text(text, encoding="utf-8")


def drawn(name: str, seed: int) -> list[dict[str, Any]]:
    """The answers of one set."""
    import torch

    from misstep import models
    from misstep.chat import from_chat
    from misstep.types import Context

    torch.set_num_threads(2)
    prompts, count, limit, temperature = SETS[name]
    loaded = models.load("smollm2")
    asked = [
        loaded.template.prompt_ids((from_chat({"role": "user", "content": prompt}),), Context())
        for prompt in prompts
    ]
    answers = models.sample(
        loaded,
        asked,
        seed=seed,
        num_generations=count,
        temperature=temperature,
        top_p=1.0,
        max_new_tokens=limit,
        batch_size=32,
    )
    rows = [
        {"set": name, "prompt": prompt, "temperature": temperature, "seed": seed}
        | {"json": name == "json", "finish": one.finish_reason, "text": one.text}
        for prompt, some in zip(prompts, answers, strict=True)
        for one in some
    ]
    return [row | {"codes": found(row)} for row in rows]


def found(row: dict[str, Any]) -> list[str]:
    """What misstep says of an answer."""
    from misstep.types import Message, Part, Session
    from misstep.validate import Settings, validate

    messages = (
        Message(role="user", parts=(Part(kind="text", text=row["prompt"]),)),
        Message(
            role="assistant",
            parts=(Part(kind="text", text=row["text"]),) if row["text"] else (),
            finish_reason=row["finish"],
        ),
    )
    session = Session(id="sampled", format="sampled", messages=messages)
    judged = validate(session, Settings(json=row["json"]))
    return sorted({f"{f.code} {f.level}" for f in judged.findings})


if __name__ == "__main__":
    main()
