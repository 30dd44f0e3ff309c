"""Other trainers' formats: the rows of `pairs/` and `unpaired/` as each of them reads a line.

In: rows. Out: files beside the Parquet files, one JSON object a line, and what belongs to them.
What a format cannot carry is set aside with a reason, written to its `set_aside.jsonl` and counted;
it is never bent to fit. A new format is one file and one entry in `OUTPUTS`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from misstep import store
from misstep.errors import UnknownName
from misstep.mine.formats_hf import HF
from misstep.mine.formats_openai import OPENAI, TOGETHER
from misstep.mine.formats_row import Aside, Output, Row
from misstep.mine.formats_sharegpt import SHAREGPT

KINDS = ("pairs", "unpaired")
PARTS = ("train", "dev")


def _as_it_is(_: str, row: Row) -> Row:
    return row


JSONL = Output(
    name="jsonl",
    about="the rows of the Parquet files, one JSON object a line",
    described="https://huggingface.co/docs/trl/dataset_formats",
    path="{kind}/{part}.jsonl",
    kinds=KINDS,
    convert=_as_it_is,
)
OUTPUTS: tuple[Output, ...] = (JSONL, OPENAI, TOGETHER, SHAREGPT, HF)
"""Every format that is written beside the Parquet files."""


def chosen_outputs(names: Iterable[str]) -> tuple[Output, ...]:
    """The formats of these names, each once.

    Raises:
        UnknownName: there is no such format.
    """
    known = {output.name: output for output in OUTPUTS}
    for name in names:
        if name not in known:
            raise UnknownName("output format", name, known)
    return tuple(known[name] for name in dict.fromkeys(names))


def sweep(folder: Path, names: Iterable[str]) -> None:
    """Remove what an earlier export left in formats that are not among `names`."""
    keep = set(names)
    for output in OUTPUTS:
        if output.name not in keep:
            for path in _files(output):
                (folder / path).unlink(missing_ok=True)


def every_file() -> list[str]:
    """Names of all files that an export may have written in any format."""
    return [path for output in OUTPUTS for path in _files(output)]


def _files(output: Output) -> list[str]:
    paths = [output.file(kind, part) for kind in output.kinds for part in PARTS]
    return [*paths, output.aside, *(name for name, _ in output.beside({}))]


class Writer:
    """Writes one format; every file is complete or absent."""

    def __init__(self, folder: Path, output: Output) -> None:
        self.output = output
        self._folder = folder
        self._stack = ExitStack()
        self._open: dict[str, BinaryIO] = {}
        self._rows: Counter[str] = Counter()
        self._asides: Counter[str] = Counter()

    @property
    def counts(self) -> dict[str, Any]:
        """`files` (rows each) and `set_aside` (by reason)."""
        return {"files": dict(self._rows), "set_aside": dict(sorted(self._asides.items()))}

    def take(self, kind: str, part: str, row: Row) -> None:
        """Write a row, or set it aside."""
        if kind not in self.output.kinds:
            return
        made = self.output.convert(kind, row)
        if isinstance(made, Aside):
            said = {"id": row["id"], "kind": kind, "part": part, "reason": made.reason}
            self._asides[made.reason] += 1
            self._line(self.output.aside, {**said, "said": made.said})
        else:
            path = self.output.file(kind, part)
            self._rows[path] += 1
            self._line(path, made)

    def _line(self, path: str, row: Row) -> None:
        if path not in self._open:
            target = self._folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._stack.enter_context(store.replacing(target))
            self._open[path] = self._stack.enter_context(temporary.open("wb"))
        self._open[path].write(json.dumps(row, ensure_ascii=False).encode() + b"\n")

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, tb)
        if error is not None:
            return
        written = {path: store.file_digest(self._folder / path) for path in self._rows}
        beside = dict(self.output.beside(written)) if written else {}
        for name, text in beside.items():
            store.write_text(self._folder / name, text)
        for path in _files(self.output):
            if path not in self._open and path not in beside:
                (self._folder / path).unlink(missing_ok=True)
