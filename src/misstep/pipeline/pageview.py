"""Held-out pages for the report: the image small, the gold, and what each stage read.

In: a finished run folder. Out: rows of `RunView.pages`; none where the run saw no pages. Images are
put in as small JPEGs and there are few of them, so that the report stays a file that can be sent:
at most `MOST` pages of about 30 kB each. Text is cut around the loop; secrets are taken out.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from misstep import models, store, validate
from misstep.config import RunConfig
from misstep.errors import ExtraMissing
from misstep.pipeline.excerpt import Runs, place_row, runs, span_of
from misstep.pipeline.job import IMAGES
from misstep.redact import clip
from misstep.types import Finding, Message, Prompt, Session

MOST = 12
"""Pages shown."""
SIDE = 560
"""Pixels of the longer side of a page as shown."""
_QUALITY = 55
_BYTES = 60_000
"""An image that is larger even at the lowest quality is not put in."""
_LONG = 1_500
"""Characters of a gold that are shown."""
Answers = Mapping[str, Mapping[Prompt, Message]]


def page_rows(folder: Path, config: RunConfig, arms: Sequence[str]) -> list[dict[str, Any]]:
    """The pages that are most worth a look: first where a stage looped, then where stages differ.

    Args:
        arms: whose answers are shown, in this order.
    """
    if not (folder / IMAGES).is_dir() or not (folder / "heldout.parquet").exists():
        return []
    golds = _golds(folder / "heldout.parquet")
    given = {arm: _greedy(folder / f"answers/{arm}.parquet") for arm in arms}
    prompts = {prompt for answers in given.values() for prompt in answers}
    settings = validate.settings(config.validate, own=False)
    found = []
    for session in _sessions(folder, {prompt.session for prompt in prompts}):
        for prompt in sorted((p for p in prompts if p.session == session.id), key=_step):
            name = _image(session, prompt.step)
            if name is not None:
                row = _row(session, prompt, given, golds.get(prompt), settings)
                found.append((_worth_a_look(row), prompt.session, name, row))
    found.sort(key=lambda each: each[:2])
    return [{**row, **_shown(folder / IMAGES, name)} for _, _, name, row in found[:MOST]]


def _step(prompt: Prompt) -> int:
    return prompt.step


def _golds(path: Path) -> dict[Prompt, str]:
    """What should have been read, by held-out prompt."""
    return {
        Prompt(session=row["session"], step=int(row["step"])): row["gold"]
        for row in store.read_rows(path)
        if row.get("gold")
    }


def _greedy(path: Path) -> dict[Prompt, Message]:
    if not path.exists():
        return {}
    return {
        Prompt(session=row["session"], step=int(row["step"])): store.decode(row["answer"], Message)
        for row in store.read_rows(path)
        if row["kind"] == "greedy"
    }


def _sessions(folder: Path, wanted: set[str]) -> Iterator[Session]:
    for name, data in store.read_stream(folder / "sessions.parquet", ("id", "session")):
        if name in wanted:
            yield store.decode(data, Session)


def _image(session: Session, step: int) -> str | None:
    """The last image before the step."""
    parts = (part for message in session.messages[:step] for part in message.parts)
    names = [part.text for part in parts if part.kind == "image"]
    return names[-1] if names else None


def _row(
    session: Session,
    prompt: Prompt,
    given: Answers,
    gold: str | None,
    settings: validate.Settings,
) -> dict[str, Any]:
    answers = [
        _answer(arm, session, prompt, answers[prompt], gold=gold, settings=settings)
        for arm, answers in given.items()
        if prompt in answers
    ]
    return {
        "place": place_of(session, prompt.step),
        "gold": None if gold is None else _cut(_spelled(gold)),
        "answers": answers,
    }


def place_of(session: Session, step: int) -> str:
    """Where in the logs a step stands: the file, and what leads on inside it."""
    origins = session.messages[step].origins
    if not origins:
        return session.id
    place = place_row(origins[0])
    line = "" if place["line"] is None else f":{place['line']}"
    return " ".join(word for word in (f"{place['file']}{line}", place["inside"]) if word)


def _answer(
    arm: str,
    session: Session,
    prompt: Prompt,
    message: Message,
    *,
    gold: str | None,
    settings: validate.Settings,
) -> dict[str, Any]:
    findings, _ = validate.judge(session, prompt.step, message, settings=settings)
    loops = [f for f in findings if f.level == "defect" and f.code.startswith("REP_")]
    published = validate.published_loop(message.text, message.finish_reason)
    return {
        "model": arm,
        "codes": sorted({f.code for f in loops}),
        "published": published,
        "score": None if gold is None else validate.worth(gold, message.text).text_score,
        "runs": [[_lined(text), look] for text, look in _runs(message.text, loops, published)],
    }


def _runs(text: str, loops: Sequence[Finding], published: bool) -> Runs:
    """The text around its first loop, by whichever rule, or its beginning."""
    span = span_of(loops[0], text) if loops else None
    if span is None and published:
        span = validate.published_span(text)
    if span is not None:
        return runs(text, span)
    more = len(text) - _LONG
    return [[_cut(text), ""], *([[f" … {more:,} characters", "gap"]] if more > 0 else [])]


def _cut(text: str) -> str:
    return clip(text, _LONG)


def _lined(text: str) -> str:
    """JSON as the model wrote it, broken where it names a line break: gold is shown in lines."""
    return text.replace("\\n", "\\n\n")


def _spelled(gold: str) -> str:
    """Field by field, as it is read; what is no JSON object as it stands."""
    try:
        value = orjson.loads(gold)
    except orjson.JSONDecodeError:
        return gold
    if not isinstance(value, dict):
        return gold
    return "\n".join(f"{key}: {inner}" for key, inner in value.items() if inner)


def _worth_a_look(row: Mapping[str, Any]) -> tuple[bool, float]:
    """Smaller is better: loops first, then by how far the stages' scores lie apart."""
    looped = any(answer["codes"] or answer["published"] for answer in row["answers"])
    scores = [answer["score"] for answer in row["answers"] if answer["score"] is not None]
    return not looped, min(scores, default=0.0) - max(scores, default=0.0)


def _shown(folder: Path, name: str) -> dict[str, Any]:
    """The image as a data URI, or why there is none."""
    nothing = {"image": "", "width": 0, "height": 0, "shown_width": 0, "shown_height": 0}
    try:
        picture = models.open_image(folder, name)
    except ExtraMissing as error:
        return {**nothing, "why": str(error)}
    if isinstance(picture, str):
        return {**nothing, "why": picture}
    width, height = picture.size
    picture.thumbnail((SIDE, SIDE))
    out = io.BytesIO()
    picture.convert("L").save(out, "JPEG", quality=_QUALITY, optimize=True)
    if out.tell() > _BYTES:
        return {**nothing, "why": f"{out.tell()} bytes even when small; see {IMAGES}/ of the run"}
    return {
        "image": f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}",
        "width": width,
        "height": height,
        "shown_width": picture.width,
        "shown_height": picture.height,
        "why": "",
    }
