"""Draw answers that may loop from the embedded model: what tests/cases/loops was labelled on.

    python benchmarks/sample_loops.py OUT.jsonl [--held-out] [--greedy] [--seed N] [--every N]

Each line of OUT holds one answer with its prompt and how it was drawn; a person then reads it and
adds the labels (`tests/cases/loops/README.md`). The prompts ask for long lists, JSON, tables, code,
transcriptions and prose: what small models are known to fall into loops on, and what they are not.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

PROMPTS: dict[str, tuple[str, ...]] = {
    "list": (
        "List 100 animals, one per line.",
        "Write a list of 80 different first names.",
        "List every country in the world.",
        "Give me 60 ideas for a birthday party.",
        "List 50 fruits and vegetables with their colours.",
        "Name 70 cities in Europe with one sentence about each.",
        "List all the programming languages you know.",
        "Write 40 questions for a job interview.",
        "List the ingredients of a large dinner for twelve guests.",
        "Give a numbered list of 50 rules for living well.",
    ),
    "json": (
        "Return a JSON array of 40 objects with the keys name, age and city. Only JSON.",
        'Return a JSON object {"books": [...]} with 30 books: title, author, year. Only JSON.',
        "Write a JSON list of 50 English words, no comments.",
        "Return JSON: a menu with 25 dishes, each with name, price and ingredients.",
        "Produce a JSON array of 30 test users with id, email and created_at.",
        "Return JSON: the opening hours of a shop for each day of the week.",
        "Give a JSON object that describes a library with shelves, books and readers, in full.",
        "Write a JSON schema for an order of a web shop with all fields you can think of.",
        "Return a JSON array of 20 sensor readings with time, sensor and value.",
        'Extract all words of this text to JSON as {"words": [...]}: '
        "The quick brown fox jumps over the lazy dog while the cat sleeps on the warm stone wall.",
    ),
    "transcription": (
        "Transcribe this page of a ledger, line by line: 'Jan 3 flour 2 sacks 4.50; Jan 4 salt 1 "
        "sack 1.20; Jan 5 sugar 3 sacks 6.00; ...' and go on to the end of the page.",
        "Write down the text of a scanned contract of lease, complete, with all its paragraphs.",
        "Transcribe the table of contents of a book of 30 chapters with page numbers.",
        "Write out the text of a receipt of a supermarket with 40 items.",
        "Transcribe as markdown the table: Name | Born | Died. Sixty rows follow.",
        "Write the full text of a railway timetable for a small line, in plain text.",
        "Copy this form and fill every field that is empty: Name: ____ Street: ____ Town: ____",
        "Transcribe the hymn on the page, all verses with the refrain.",
        "Write the minutes of a meeting of the town council, word by word.",
        "Transcribe the page of a telephone directory, letter A.",
    ),
    "code": (
        "Write a Python dictionary that maps 50 country names to their capitals.",
        "Write a C switch statement with a case for each letter of the alphabet.",
        "Write a SQL script that creates a table of products and inserts 40 rows.",
        "Write a CSS file with classes for 30 colours.",
        "Write an HTML page with a table of 30 rows and 4 columns.",
        "Write a Python class for a bank account with many methods, and unit tests for each.",
        "Write a bash script that backs up a folder and checks every step.",
        "Write JavaScript that validates a form with ten fields.",
        "Write a Python function that returns the name of a number from 1 to 50.",
        "Write an SVG drawing of a city with many houses.",
    ),
    "table": (
        "Write a CSV file of 50 employees: id, name, department, salary.",
        "Make a markdown table of the multiplication of the numbers 1 to 12.",
        "Count from 1 to 200, separated by commas.",
        "Write the dates of all days of March 2024, one per line.",
        "Make a markdown table of 30 chemical elements: name, symbol, number, weight.",
        "Write a training plan for eight weeks as a table.",
        "Write a log file of a web server with 40 lines.",
        "List the squares of the numbers from 1 to 60.",
    ),
    "prose": (
        "Write a long story about a lighthouse keeper.",
        "Explain how a bicycle works, in great detail.",
        "Write a poem of twenty verses about the sea, with a refrain.",
        "Write a song with three verses and a chorus that comes back.",
        "Discuss the advantages and disadvantages of living in a city, at length.",
        "Write a letter of complaint to a railway company.",
        "Explain photosynthesis to a child, then to a student, then to a professor.",
        "Tell me everything you know about bread.",
        "Write a dialogue between two neighbours about a fence.",
        "Write a long speech for the opening of a school.",
        "Say the word 'hello' many times.",
        "Repeat the sentence 'I will not be late again.' 30 times.",
    ),
}
HELD_OUT: dict[str, tuple[str, ...]] = {
    "list": (
        "Name 90 kinds of flowers.",
        "List the stations of a long underground line, each on its own line.",
        "Give me 45 reasons to learn to swim.",
        "List 70 words that rhyme with each other.",
        "Write down all the tools of a carpenter and what each is for.",
        "List 30 famous rivers and the sea into which each of them flows.",
    ),
    "json": (
        "Return a JSON array of 35 cars with brand, model and horse_power. Only JSON.",
        "Give a JSON object with the timetable of a school week, each lesson with its room.",
        "Return JSON: an address book of 25 people with name, phone and street.",
        "Return a JSON array with the moves of a game of chess.",
        "Write the configuration of a web server with twelve sites as JSON.",
        'Return JSON: {"matrix": [[...]]}, a matrix of 12 rows and 12 columns of small numbers.',
    ),
    "transcription": (
        "Transcribe this price list and go on to its end: 'Nails, 1 kg: 3.20 / Screws, 1 kg: 4.80 "
        "/ Hinges, pair: 2.10 / ...'",
        "Write out the register of a ship's passengers as it stands on the page.",
        "Transcribe the litany on the page with all its answers.",
        "Write the subtitles of a short film about a dog, with time codes.",
    ),
    "code": (
        "Write a Python enum of 40 colours.",
        "Write a Java class with getters and setters for fifteen fields.",
        "Write a Makefile for a project with twenty source files.",
        "Write a regular expression for each of twenty kinds of dates.",
        "Write an SQL query that joins eight tables.",
        "Write a test file with 30 small tests for a calculator.",
    ),
    "table": (
        "Make a table of the temperatures of each day of a month.",
        "Write the ASCII codes from 32 to 126 with their characters.",
        "Write a CSV file with 40 orders: id, date, customer, amount.",
        "Write the powers of two up to the fortieth, one per line.",
    ),
    "prose": (
        "Tell the legend of a mountain and a stubborn goat.",
        "Explain how a clock works, step by step.",
        "Write a lullaby with many verses.",
        "Write a long apology to a friend.",
        "Describe a walk through a market, with all that is on sale.",
        "Write a prayer that answers itself after each line.",
    ),
}
"""For the held-out set alone: never drawn from while a threshold could still be changed."""
TOKENS = 640


def main() -> None:
    args = _arguments()
    import torch

    from misstep.chat import from_chat
    from misstep.models import load, sample
    from misstep.types import Context

    torch.set_num_threads(2)
    loaded = load("smollm2")
    asking = HELD_OUT if args.held_out else PROMPTS
    asked = [(kind, prompt) for kind, prompts in asking.items() for prompt in prompts]
    asked = asked[:: args.every]
    ids = [
        loaded.template.prompt_ids((from_chat({"role": "user", "content": prompt}),), Context())
        for _, prompt in asked
    ]
    how = {"temperature": 0.0 if args.greedy else 0.7, "top_p": 1.0, "max_new_tokens": TOKENS}
    drawn = sample(
        loaded,
        ids,
        seed=args.seed,
        num_generations=1,
        batch_size=20,
        progress=lambda done, total: print(f"{done}/{total}", flush=True),
        **how,
    )
    with args.out.open("w", encoding="utf-8") as file:
        for (kind, prompt), answers in zip(asked, drawn, strict=True):
            row = {"kind": kind, "prompt": prompt, "temperature": how["temperature"]}
            row |= {"seed": args.seed, "finish": answers[0].finish_reason, "text": answers[0].text}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--held-out", action="store_true", help="ask the other prompts")
    parser.add_argument("--greedy", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=1, help="take each Nth prompt only")
    return parser.parse_args()


if __name__ == "__main__":
    main()
