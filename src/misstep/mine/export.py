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

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from misstep import store
from misstep.config import MineConfig
from misstep.mine.accepted import Terms
from misstep.mine.card import write_card
from misstep.mine.figures import Figures
from misstep.mine.formats import KINDS, PARTS, Writer, chosen_outputs, sweep
from misstep.mine.index import index_of
from misstep.mine.make import Maker, Making, Row, Wanted, wanted_of
from misstep.mine.miner import Mined
from misstep.mine.rows import refused_row
from misstep.mine.source import Corpus
from misstep.mine.split import Split

FIGURES = "mined.json"
_COLUMNS = {
    "pairs": ("id", "prompt", "chosen", "rejected", "tools"),
    "unpaired": ("id", "prompt", "completion", "label", "tools"),
}
_SCHEMAS = {"pairs": "pair", "unpaired": "unpaired"}


def export(
    mined: Mined,
    corpus: Corpus,
    split: Split,
    *,
    folder: Path,
    config: MineConfig | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Make the rows of what was mined, and `write` them.

    Raises:
        StageError: the folder cannot be written, or a row breaks its schema.
        UnknownName: the settings name a format that does not exist.
    """
    config = config or MineConfig()
    wanted = wanted_of(mined, corpus, split, seed=seed, terms=Terms.of(config, {}))
    making = Maker(corpus, split, config.redact)
    steps = len(index_of(corpus))
    return write(mined, wanted, making, folder=folder, config=config, steps=steps)


def write(
    mined: Mined,
    wanted: Sequence[Wanted],
    making: Making,
    *,
    folder: Path,
    config: MineConfig,
    steps: int,
) -> dict[str, Any]:
    """Write pairs, unpaired failures, refused candidates and the dataset card into `folder`.

    Each file is complete or absent. Gives rows per file, `secrets` (how much was replaced),
    `redacted` (the same by kind) and `outputs` (rows and what was set aside, per format).

    Args:
        wanted: what `wanted_of` gave.
        making: who makes the rows; they do not depend on it.
        steps: of the whole corpus.

    Raises:
        StageError: the folder cannot be written, or a row breaks its schema.
        UnknownName: the settings name a format that does not exist.
    """
    numbers = Counter((each.part, each.kind) for each in wanted)
    rows = making.rows(wanted)

    def taken(kind: str, part: str) -> Iterator[Row]:
        return islice(rows, numbers[part, kind])

    sources = {kind: partial(taken, kind) for kind in KINDS}
    figures = Figures(counts={"steps": steps, **mined.counts}, redact=config.redact)
    sweep(folder, config.outputs)
    write_parts(folder, sources, config.outputs, figures=figures)
    refused = (refused_row(each, clean=config.redact) for each in mined.refused)
    name = "refused.jsonl"
    figures.files[name] = store.write_jsonl(folder / name, refused, schema="refused")
    figures.redacted = dict(sorted(making.counts.items()))
    store.write_json(folder / FIGURES, figures.to_json())
    write_card(folder / "README.md", figures)
    secrets = sum(making.counts.values())
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
                figures.digests[name] = store.file_digest(folder / name)
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
