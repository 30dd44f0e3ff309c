"""Export: the files of a mined corpus.

In: `Mined`, its corpus and split. Out: `pairs/{train,dev}.parquet`, `unpaired/{train,dev}.parquet`,
`refused.jsonl` and the dataset card in one folder. Every row is held against its schema at the
door, and no secret leaves (`rows`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from misstep import store
from misstep.mine.card import write_card
from misstep.mine.miner import Mined
from misstep.mine.rows import Redactor, pair_row, refused_row, unpaired_row
from misstep.mine.source import Corpus
from misstep.mine.split import Split

PAIR_COLUMNS = ("id", "prompt", "chosen", "rejected", "tools")
UNPAIRED_COLUMNS = ("id", "prompt", "completion", "label", "tools")


def export(mined: Mined, corpus: Corpus, split: Split, *, folder: Path) -> dict[str, int]:
    """Write pairs, unpaired failures, refused candidates and the dataset card into `folder`.

    `pairs/{train,dev}.parquet`, `unpaired/{train,dev}.parquet`, `refused.jsonl`, `README.md`; each
    complete or absent. Gives rows per file, and how many secrets were taken out (`secrets`).

    Raises:
        StageError: the folder cannot be written, or a row breaks its schema.
    """
    clean = Redactor()
    counts: dict[str, int] = {}
    for part in ("train", "dev"):
        pairs = [p for p in mined.pairs if split.part[p.prompt.session] == part]
        rows = [pair_row(pair, corpus, clean) for pair in pairs]
        counts[f"pairs/{part}.parquet"] = _write(folder, f"pairs/{part}", rows, "pair")
        loose = [u for u in mined.unpaired if split.part[u.prompt.session] == part]
        rows = [unpaired_row(row, corpus, clean) for row in loose]
        counts[f"unpaired/{part}.parquet"] = _write(folder, f"unpaired/{part}", rows, "unpaired")
    refused = [refused_row(each) for each in mined.refused]
    counts["refused.jsonl"] = store.write_jsonl(folder / "refused.jsonl", refused, schema="refused")
    counts["secrets"] = clean.secrets
    write_card(folder / "README.md", mined.counts, files=counts)
    return counts


def _write(folder: Path, name: str, rows: Sequence[Mapping[str, Any]], kind: str) -> int:
    for row in rows:
        store.check_row(row, kind)
    columns = PAIR_COLUMNS if kind == "pair" else UNPAIRED_COLUMNS
    store.write_rows(folder / f"{name}.parquet", rows, columns=columns)
    return len(rows)
