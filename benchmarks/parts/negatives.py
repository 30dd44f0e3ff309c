"""Real texts that are no loops: parts of files of this machine, and what assistants wrote in logs.

Files (prose, code, data) are drawn by hash from the Python environment and its standard library (or
the folders in MISSTEP_NEGATIVES), beside held-out answers from the system's folders (or those in
MISSTEP_OTHER_NEGATIVES); texts of assistants are those of the logs in MISSTEP_CORPUS.
Nothing of them is kept.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

KINDS = {
    "prose": "md rst txt license licence copying notice html htm pod authors news readme changes",
    "code": "py pyi pyx pxd c h cc cpp hpp cuh js ts pl pm sh css f90 cmake jinja sql vim lua rs",
    "data": "json yaml yml toml csv tsv svg xml pem lock list conf cfg ini dectest ipynb tab pom "
    "png gif jpg woff2 ico",
}
SIZES = (1500, 12_000)
"""Characters of a file that are taken, drawn by the hash of its path."""


def folders() -> list[Path]:
    """Where negatives are drawn from."""
    given = os.environ.get("MISSTEP_NEGATIVES")
    if given:
        return [Path(one) for one in given.split(os.pathsep)]
    paths = sysconfig.get_paths()
    return [Path(paths["purelib"]), Path(paths["stdlib"])]


def kind_of(path: Path) -> str | None:
    """Prose, code or data, by the name's end; None for the rest."""
    word = (path.suffix[1:] or path.name).lower()
    return next((kind for kind, ends in KINDS.items() if word in ends.split()), None)


def elsewhere() -> list[Path]:
    """Where those are drawn from that stand beside held-out answers: the system, not Python."""
    given = os.environ.get("MISSTEP_OTHER_NEGATIVES")
    if given:
        return [Path(one) for one in given.split(os.pathsep)]
    return [Path("/usr/share"), Path("/usr/include"), Path("/usr/lib")]


def files(count: int, among: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Negatives: parts of files, as many of each kind as there are, up to a third of `count`."""
    ranked: dict[str, list[tuple[bytes, Path, str]]] = {kind: [] for kind in KINDS}
    for folder in among:
        for path in folder.rglob("*"):
            kind = kind_of(path)
            if kind is not None and path.is_file() and path.stat().st_size >= SIZES[0]:
                digest = hashlib.sha256(str(path).encode()).digest()
                ranked[kind].append((digest, path, str(path.relative_to(folder))))
    for kind, found in ranked.items():
        seen: set[str] = set()
        for digest, path, name in sorted(found):
            text = cut(path, digest)
            if text is not None and text not in seen:
                seen.add(text)
                yield {"id": name, "kind": kind, "text": text}
            if len(seen) >= count // 3:
                break


def cut(path: Path, digest: bytes) -> str | None:
    """A part of a file, of a size and at a line drawn by the hash; None for what is no text.

    Pictures and fonts are written in base64, every other JSON file without white space.
    """
    rnd = random.Random(digest)
    try:
        text = as_text(path, digest)
    except (OSError, ValueError, RecursionError):
        return None
    size = rnd.randint(*SIZES)
    start = text.rfind("\n", 0, rnd.randint(0, max(len(text) - size, 0)) + 1) + 1
    part = text[start : start + size].rstrip()
    return part if len(part) >= SIZES[0] * 0.8 else None


def as_text(path: Path, digest: bytes) -> str:
    """The beginning of a file as text.

    Raises:
        ValueError: it is neither text nor one of the kinds that are written as text.
    """
    data = path.read_bytes()[:400_000]
    if path.suffix.lower() in (".png", ".gif", ".jpg", ".woff2", ".ico"):
        wide = base64.encodebytes(data).decode()
        return wide if digest[1] % 2 else wide.replace("\n", "")
    text = data.decode("utf-8")
    if path.suffix == ".json" and digest[1] % 2:
        return json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)
    return text


def answers() -> Iterator[dict[str, Any]]:
    """Negatives: what assistants wrote in real logs, texts and arguments of 300 characters on."""
    corpus = os.environ.get("MISSTEP_CORPUS")
    if not corpus:
        return
    from misstep.config import IngestConfig
    from misstep.ingest import ingest

    seen: set[str] = set()
    for session in ingest([Path(corpus) / "logs"], config=IngestConfig(workers=1)).sessions:
        for step in session.steps:
            message = session.messages[step]
            for text in (message.text, message.reasoning, *(c.arguments for c in message.calls)):
                if len(text) >= 300 and text not in seen:
                    seen.add(text)
                    yield {"id": f"{session.format} {session.id}/{step}", "kind": "answers"} | {
                        "text": text
                    }
