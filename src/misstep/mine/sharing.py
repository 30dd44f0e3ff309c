"""What of a folder of pairs is made to leave it, and what stays with its owner.

In: the figures of an export. Out: names, and the words of card and terminal. Only the rows, in all
their formats, and the card are written to be shared; what misstep works with lies beside them, and
some of it is the logs as they were read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from misstep.mine.figures import Figures

CARD = "README.md"
_IMAGES = "images"
_STAYS = (
    ("`sessions.parquet`", "the logs as they were read, secrets, addresses and all"),
    ("`answers/`", "what models answered to the prompts of the logs"),
    ("`findings.parquet`, `verdicts.parquet`", "what was said of every step, words of it too"),
    ("`set_aside.jsonl`", "records that could not be read, words of them too"),
    ("`heldout.parquet`", "which steps are held out, and gold answers as they were given"),
    ("`config.yaml`, `stages.json`", "your paths and addresses of servers; names of tools, counts"),
)


def shared(figures: Figures) -> list[str]:
    """Files and folders that are made to be shared; none where nothing was redacted."""
    if not figures.redact:
        return []
    files = [name for told in figures.outputs.values() for name in told["files"]]
    folders = [f"{name.partition('/')[0]}/" for name in ("pairs/", "unpaired/", *files)]
    return [CARD, *dict.fromkeys(folders)]


def shared_text(folder: Path, figures: Figures) -> str:
    """The same in a line for a terminal."""
    names = shared(figures)
    if not names:
        return "nothing: nothing was redacted"
    if (folder / _IMAGES).is_dir():
        names.append(f"{_IMAGES}/ when you have looked through it")
    rest = "sessions.parquet and others hold the logs as they were read"
    return f"{', '.join(names)}; not the rest: {rest}"


def sharing(figures: Figures) -> Iterator[str]:
    """The card's section; nothing where nothing was redacted, which the card says elsewhere."""
    names = shared(figures)
    if not names:
        return
    listed = ", ".join(f"`{name}`" for name in names)
    yield from ("## What may be shared", "")
    yield f"{listed}. Copy these, not the folder: where `misstep mine` or"
    yield "`misstep run` wrote it, others lie beside them, not redacted or of use to you alone:"
    yield from ("", "| file | what it holds |", "|---|---|")
    yield from (f"| {name} | {what} |" for name, what in _STAYS)
    yield f"| `{_IMAGES}/` | pictures as they stand in the logs; rows name them: look at each |"
    yield ""
