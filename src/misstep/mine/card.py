"""The dataset card: a README.md with the front matter that dataset hubs and viewers read.

In: the figures of an export. Out: Markdown. It holds figures and the meaning of columns, never a
text from the logs. Sessions that were forgotten stand in it by id and count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from misstep import __version__, store
from misstep.codes import CODES
from misstep.mine.door import FULL
from misstep.mine.figures import EDGES, Figures, largest
from misstep.mine.formats import OUTPUTS
from misstep.mine.formats_row import content
from misstep.mine.gate import RULES
from misstep.mine.sharing import sharing

_BAR = 24
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_COLUMNS = (
    ("prompt", "the messages before the step, as the agent saw them"),
    ("chosen", "one assistant message that every validator found clean on this prompt"),
    ("rejected", "one assistant message with at least one defect that the model caused"),
    ("tools", "the offered tools, as JSON text"),
    ("images", "names of the prompt's images in `images/`; only where there are any"),
    ("context", "what else the request demanded, as JSON text of misstep's `Context`"),
    ("exact", "the messages in misstep's own form where chat form loses the order of parts"),
    ("id, session, step, family", "content hashes; what shares a family shares a split"),
    ("session_chosen", "the session whose log holds the chosen side; null for sampled answers"),
    ("source", "where the chosen side comes from"),
    ("codes, validators", "what the rejected side failed by, and the detectors' versions"),
    ("places", "where the sides fail: character spans in content, arguments or name, as JSON text"),
    ("edits", "what was changed on a side: `trim`, `splice`, `calls-only`, repairs"),
    ("feedback", "how rewards, thumbs and humans' words in the log were used"),
    ("margin", "score of chosen minus score of rejected"),
    ("cut", "the rejected side never ended its turn, so it carries no end-of-turn"),
    ("model_chosen, model_rejected", "the models that wrote the sides, as logged"),
    ("origin_chosen, origin_rejected", "file and line in the logs"),
    ("misstep", "the version that wrote the row"),
)


def write_card(path: Path, figures: Figures) -> None:
    """Write the card."""
    store.write_text(path, card(figures))


def card(figures: Figures) -> str:
    """The text of the card."""
    lines = [
        "---",
        yaml.safe_dump(_front(figures), sort_keys=False).rstrip(),
        "---",
        "",
        "# Preference pairs mined from agent logs",
        "",
        *_summary(figures),
        *_funnel(figures.counts),
        *_table("Pairs by source", ("source", "pairs"), figures.sources),
        *_table("Failures in the pairs", ("code", "pairs", "meaning"), figures.codes, _meaning),
        *_table("Refused candidates", ("reason", "count", "meaning"), _refused(figures), _reason),
        *_table("Feedback of the log", ("use", "pairs"), figures.feedback),
        *_table(
            "Decisions of a reviewer", ("decision", "pairs"), figures.counts.get("reviewed", {})
        ),
        *_lengths(figures),
        *_redaction(figures),
        *sharing(figures),
        *_loading(figures),
        *_forgotten(figures),
        "## Licence",
        "",
        "The rows are text of the logs that they were mined from, so they are under whatever terms",
        "hold for those: the words of your users, of your tools' results, and of the models, whose",
        "providers may restrict what may be trained on them. misstep adds no rights, no licence:",
        "name one (`license:` in the front matter) before you share them.",
        "",
        "## Columns",
        "",
        "| column | what it holds |",
        "|---|---|",
        *(f"| {name} | {what} |" for name, what in _COLUMNS),
        "",
        "Argument text in `tool_calls` is the text that the model wrote, valid JSON or not. The",
        "files in `unpaired/` hold `completion` and `label` instead of two sides: false for a",
        "failure without a partner, true for an accepted step.",
        "",
    ]
    return "\n".join(lines)


def _summary(figures: Figures) -> Iterator[str]:
    counts, labels = figures.counts, figures.labels
    yield (
        f"Failed steps: {counts['failed_steps']}, of them {counts['heldout_failed']} in held-out "
        f"families, which are not in these files. Pairs: {_pairs(figures)}. Failures without a "
        f"partner: {labels.get('failed', 0)}, with {labels.get('accepted', 0)} accepted steps "
        f"beside them. Written by misstep {__version__}."
    )
    yield ""


def _pairs(figures: Figures) -> int:
    return sum(figures.sources.values())


def _refused(figures: Figures) -> Mapping[str, int]:
    refused: Mapping[str, int] = figures.counts["refused"]
    return refused


def _funnel(counts: Mapping[str, Any]) -> Iterator[str]:
    yield from ("## From logged steps to pairs", "", "| stage | count |", "|---|---:|")
    rows = (
        ("logged steps", counts.get("steps")),
        ("failed steps", counts["failed_steps"]),
        ("failed, outside the held-out families", _outside(counts)),
        ("candidates: a failure with something better", counts["candidates"]),
        ("refused by the gate", sum(counts["refused"].values())),
        ("pairs", counts["pairs"]),
    )
    yield from (f"| {name} | {count} |" for name, count in rows if count is not None)
    yield ""


def _outside(counts: Mapping[str, Any]) -> int:
    failed, held = int(counts["failed_steps"]), int(counts["heldout_failed"])
    return failed - held


def _lengths(figures: Figures) -> Iterator[str]:
    """One bar a class and side; equal shapes teach content, not length."""
    if not figures.lengths:
        return
    chosen, rejected = figures.lengths["chosen"], figures.lengths["rejected"]
    most = max(*chosen, *rejected)
    yield from ("## Length of the sides", "", "Characters of text and calls.", "", "```")
    yield f"{'':>13}  {'chosen':<{_BAR + 7}}rejected"
    for at, (left, right) in enumerate(zip(chosen, rejected, strict=True)):
        if left or right:
            yield f"{_class(at):>13}  {_bar(left, most):<{_BAR + 7}}{_bar(right, most).rstrip()}"
    yield from ("```", "")
    ratios = figures.counts.get("length_ratio", {})
    yield from _table("Length of chosen over rejected", ("source", "ratio"), ratios)


def _class(at: int) -> str:
    low = EDGES[at - 1] if at else 0
    return f"{low} to {EDGES[at] - 1}" if at < len(EDGES) else f"{low} and more"


def _bar(count: int, most: int) -> str:
    return f"{'█' * max(round(_BAR * count / most), 1) if count else ''} {count}"


def _redaction(figures: Figures) -> Iterator[str]:
    yield from ("## Redaction", "")
    if not figures.redact:
        yield "**Not redacted** (`--no-redact`): secrets, addresses and users' names stand in the"
        yield from ("rows as they stood in the logs. Do not share this folder.", "")
        return
    total = sum(figures.redacted.values())
    yield f"Secrets and personal data replaced in the rows: {total}. Secrets became"
    yield "`[REDACTED:kind]`, e-mail addresses `userN@example.com`, users' names in paths `userN`,"
    yield "the same value the same way in all rows of a session. Names, telephone numbers and the"
    yield from ("like are not sought: read before you share.", "")
    yield from _table("Replaced, by kind", ("kind", "count"), figures.redacted)


def _loading(figures: Figures) -> Iterator[str]:
    yield from ("## Loading", "", "```python", "from datasets import load_dataset", "")
    for name in ("pairs", "unpaired"):
        if any(_splits(name, figures.files)):
            yield f'{name} = load_dataset("PATH/OF/THIS/FOLDER", "{name}")'
    yield from ("```", "")
    about = {output.name: output for output in OUTPUTS}
    others = [
        (n, told) for n, told in figures.outputs.items() if told["files"] or told["set_aside"]
    ]
    if others:
        yield from ("| also written as | rows | set aside | read by |", "|---|---:|---|---|")
    for name, told in others:
        aside = ", ".join(f"{why} {count}" for why, count in told["set_aside"].items())
        rows = sum(told["files"].values())
        yield f"| {name} | {rows} | {aside or 'none'} | {about[name].about} |"
    yield ""


def _forgotten(figures: Figures) -> Iterator[str]:
    if not figures.forgotten:
        return
    yield from ("## Forgotten sessions", "")
    yield from ("Their rows left these files after mining; the funnel above still counts them.", "")
    yield from ("| session | pairs | unpaired rows |", "|---|---:|---:|")
    for name, rows in sorted(figures.forgotten.items()):
        yield f"| {name} | {rows.get('pairs', 0)} | {rows.get('unpaired', 0)} |"
    yield ""


def _front(figures: Figures) -> dict[str, Any]:
    total = _pairs(figures)
    configs: list[dict[str, Any]] = [
        {
            "config_name": name,
            "description": content([figures.digests.get(s["path"], "") for s in splits]),
            "data_files": splits,
        }
        for name in ("pairs", "unpaired")
        if (splits := list(_splits(name, figures.files)))
    ]
    if configs:
        configs[0]["default"] = True
    return {
        "pretty_name": "Preference pairs mined from agent logs",
        "task_categories": ["text-generation"],
        "tags": ["dpo", "kto", "preference", "tool-use", "agent-traces", "misstep"],
        "size_categories": [next((name for top, name in _SIZES if total < top), "n>1M")],
        "configs": configs,
    }


def _splits(name: str, files: Mapping[str, int]) -> Iterator[dict[str, str]]:
    for part, split in (("train", "train"), ("dev", "validation")):
        path = f"{name}/{part}.parquet"
        if files.get(path):
            yield {"split": split, "path": path}


def _meaning(code: str) -> str:
    return CODES[code].meaning if code in CODES else "a plug-in's code"


def _reason(code: str) -> str:
    return FULL.get(code) or next((rule.about for rule in RULES if rule.code == code), "")


def _table(
    title: str,
    head: tuple[str, ...],
    rows: Mapping[str, Any],
    about: Callable[[str], str] | None = None,
) -> Iterator[str]:
    if not rows:
        return
    yield from (f"## {title}", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|")
    for name, value in largest(rows):
        yield f"| {name} | {value} |" + (f" {about(name)} |" if about else "")
    yield ""
