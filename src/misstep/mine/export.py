"""Export: the files of a mined corpus.

In: `Mined`, its corpus and split. Out, in one folder: `pairs/` and `unpaired/` with `train` and
`dev`, each as Parquet and in what other trainers read (`formats`), `refused.jsonl`, `mined.json`
(the figures) and the dataset card made of it. Every row is held against its schema at the door, and
unless the settings say otherwise no secret and no person leaves (`rows.Redactor`).

`unpaired/` holds both labels, as KTO wants them: each failure without a partner (False) and as
many accepted steps (True) of the same part, drawn evenly over its families, fewer where there are
fewer. That is within the ratio of 1 to 4/3 that the KTO paper keeps. The labels alternate as evenly
as their numbers allow, because TRL's KTO reads the file in its order and wants both in a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from misstep import store
from misstep.config import MineConfig
from misstep.mine.accepted import accepted_steps
from misstep.mine.card import write_card
from misstep.mine.figures import Figures
from misstep.mine.formats import PARTS, Writer, chosen_outputs, sweep
from misstep.mine.index import index_of
from misstep.mine.miner import Mined
from misstep.mine.rows import Redactor, desirable_row, pair_row, refused_row, unpaired_row
from misstep.mine.source import Corpus
from misstep.mine.split import Split

FIGURES = "mined.json"
_COLUMNS = {
    "pairs": ("id", "prompt", "chosen", "rejected", "tools"),
    "unpaired": ("id", "prompt", "completion", "label", "tools"),
}
_SCHEMAS = {"pairs": "pair", "unpaired": "unpaired"}
Row = dict[str, Any]


def export(
    mined: Mined,
    corpus: Corpus,
    split: Split,
    *,
    folder: Path,
    config: MineConfig | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Write pairs, unpaired failures, refused candidates and the dataset card into `folder`.

    Each file is complete or absent. Gives rows per file, `secrets` (how much was replaced),
    `redacted` (the same by kind) and `outputs` (rows and what was set aside, per format).

    Raises:
        StageError: the folder cannot be written, or a row breaks its schema.
        UnknownName: the settings name a format that does not exist.
    """
    config = config or MineConfig()
    clean = Redactor(active=config.redact)
    sources: dict[str, Callable[[str], Iterator[Row]]] = {
        "pairs": lambda part: _pairs(mined, corpus, split, part=part, clean=clean),
        "unpaired": lambda part: _unpaired(
            mined, corpus, split, part=part, clean=clean, draw=(seed, config.feedback)
        ),
    }
    counts = {"steps": len(index_of(corpus)), **mined.counts}
    figures = Figures(counts=counts, redact=config.redact)
    sweep(folder, config.outputs)
    write_parts(folder, sources, config.outputs, figures=figures)
    refused = (refused_row(each, clean=config.redact) for each in mined.refused)
    name = "refused.jsonl"
    figures.files[name] = store.write_jsonl(folder / name, refused, schema="refused")
    figures.redacted = dict(sorted(clean.counts.items()))
    store.write_json(folder / FIGURES, figures.to_json())
    write_card(folder / "README.md", figures)
    secrets = sum(clean.counts.values())
    told = {"redacted": figures.redacted, "outputs": figures.outputs}
    return {**figures.files, "secrets": secrets, **told}


def write_parts(
    folder: Path,
    sources: Mapping[str, Callable[[str], Iterator[Row]]],
    outputs: tuple[str, ...],
    *,
    figures: Figures,
) -> None:
    """Write `pairs/` and `unpaired/`, and every other format of them; `figures` are filled."""
    with ExitStack() as stack:
        writers = [stack.enter_context(Writer(folder, out)) for out in chosen_outputs(outputs)]
        for part in PARTS:
            for kind, source in sources.items():
                name = f"{kind}/{part}.parquet"
                rows = _passing(source(part), kind, part=part, writers=writers, figures=figures)
                figures.files[name] = store.write_rows(folder / name, rows, columns=_COLUMNS[kind])
    figures.outputs = {writer.output.name: writer.counts for writer in writers}


def _passing(
    rows: Iterator[Row], kind: str, *, part: str, writers: Sequence[Writer], figures: Figures
) -> Iterator[Row]:
    """The rows, seen by all who write or count them."""
    for row in rows:
        store.check_row(row, _SCHEMAS[kind])
        figures.see(kind, row)
        for writer in writers:
            writer.take(kind, part, row)
        yield row


def _pairs(
    mined: Mined, corpus: Corpus, split: Split, *, part: str, clean: Redactor
) -> Iterator[Row]:
    for pair in mined.pairs:
        if split.part[pair.prompt.session] == part:
            yield pair_row(pair, corpus, clean)


def _unpaired(
    mined: Mined,
    corpus: Corpus,
    split: Split,
    *,
    part: str,
    clean: Redactor,
    draw: tuple[int, bool],
) -> Iterator[Row]:
    """Failures and accepted steps in turn; each kind in the order of its content."""
    failures = [u for u in mined.unpaired if split.part[u.prompt.session] == part]
    failures.sort(key=lambda row: row.id)
    seed, feedback = draw
    accepted = accepted_steps(corpus, split, len(failures), seed, feedback=feedback, part=part)
    given = 0
    for at, failure in enumerate(failures):
        yield unpaired_row(failure, corpus, clean)
        due = (at + 1) * len(accepted) // len(failures)
        while given < due:
            yield desirable_row(accepted[given], corpus, split, clean)
            given += 1
