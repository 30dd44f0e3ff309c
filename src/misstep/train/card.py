"""The model card beside an adapter, with a place for the before/after table.

In: the note that `publishing.publish` writes, and counts. Out: Markdown. `fill` puts the table in
once it has been measured; `carried` is what the card of a merged model takes over. Pure text;
nothing of the training rows is quoted, and a path is named by its last part alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from misstep.models.resolve import EMBEDDED, EMBEDDED_ON_HUB
from misstep.train.rows import Row
from misstep.types import SetAside

START, END = "<!-- before-after -->", "<!-- /before-after -->"
FUNNEL, FUNNEL_END = "<!-- funnel -->", "<!-- /funnel -->"
_NOT_YET = {
    # adapters that others go on from, or are compared with; only the last one's card is filled
    "sft": "Figures of a run stand in `report.md` of its folder.",
    "dpo": "Not measured yet.",
    "kto": "Not measured yet.",
}
_SECTIONS = "## Before and after"
_FALLBACK = (
    "## How prompts were written",
    "",
    "The chat template of the base takes no tools. misstep wrote tools, calls and results itself",
    "while training and measuring: the tools in the system turn behind `Tools:`, calls between",
    "`<tool_call>` and `</tool_call>` (docs/models.md of misstep). A server that renders with the",
    "template of this folder shows other prompts, and the figures here do not hold for it: write",
    "tools into the system turn the same way.",
    "",
)


def card(note: Mapping[str, Any], rows: Sequence[Row], aside: Sequence[SetAside]) -> str:
    """The card of an adapter; `note` is that of `stage.finish`."""
    stage, base = str(note["stage"]), shown(str(note["base"]))
    whole = note.get("trained") == "model"
    what = "All weights" if whole else "A LoRA adapter"
    lines = [
        *_front(note),
        f"# {base} after {stage.upper()}" if whole else f"# {stage.upper()} adapter for {base}",
        "",
        f"{what}, trained by misstep with {_METHOD[stage]} on {note['rows']} rows from "
        f"logs of an agent, in {note['steps']} steps with seed {note['seed']}.",
        "",
        _SECTIONS,
        "",
        START,
        _NOT_YET[stage],
        END,
        "",
        "## Trained on",
        "",
        FUNNEL,
        FUNNEL_END,
        "",
        *_counts("failure code of the rejected side", (code for row in rows for code in row.codes)),
        *_counts("set aside because", (entry.reason for entry in aside)),
        *(_FALLBACK if note.get("rendering") == "fallback" else ()),
        "## Settings",
        "",
        *_settings(note),
        "",
        "Versions: " + ", ".join(f"{k} {v}" for k, v in sorted(note["versions"].items())) + ".",
    ]
    if note["stopped"]:
        lines += ["", f"Training ended early: {note['stopped']}."]
    return "\n".join(lines) + "\n"


def _settings(note: Mapping[str, Any]) -> list[str]:
    """Those of the stage, of the adapter where there is one, and how numbers were worked out."""
    lora = {f"lora.{key}": value for key, value in note["lora"].items()}
    if not note["lora"]["enabled"]:
        lora = {"lora.enabled": False}
    every = {**note["config"], **lora, "dtype": note["dtype"], "processes": note["processes"]}
    return [f"- `{key}`: {value}" for key, value in sorted(every.items())]


_METHOD = {
    "sft": "supervised fine-tuning (TRL)",
    "dpo": "direct preference optimisation (TRL)",
    "kto": "Kahneman-Tversky optimisation (TRL)",
}


def _front(note: Mapping[str, Any]) -> list[str]:
    whole = note.get("trained") == "model"
    tags = ["misstep", "trl", *([] if whole else ["lora"]), str(note["stage"])]
    return [
        "---",
        *base_line(str(note["base"])),
        f"library_name: {'transformers' if whole else 'peft'}",
        f"tags: [{', '.join(tags)}]",
        "---",
        "",
    ]


def shown(base: str) -> str:
    """What a base is called in a text: of a path its last part, whatever else it tells."""
    return Path(base).expanduser().absolute().name if _is_path(base) else base


def on_hub(base: str) -> str:
    """What others call a base; only the embedded model has another name there."""
    return EMBEDDED_ON_HUB if base == EMBEDDED else base


def base_line(base: str) -> list[str]:
    """`base_model` of the front matter; none for a path, which the Hub refuses."""
    return [] if _is_path(base) else [f"base_model: {on_hub(base)}"]


def _is_path(base: str) -> bool:
    return Path(base).expanduser().exists() or base.count("/") > 1 or base[:1] in ("/", ".", "~")


def carried(adapter: Path) -> str:
    """The sections of the adapter's card; empty where it has none of ours."""
    path = adapter / "README.md"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return text[text.index(_SECTIONS) :] if START in text and _SECTIONS in text else ""


def _counts(title: str, names: Iterable[str]) -> list[str]:
    counted = Counter(names)
    if not counted:
        return []
    rows = [f"| {name} | {count} |" for name, count in sorted(counted.items())]
    return [f"| {title} | rows |", "|---|---:|", *rows, ""]


def fill(adapter: Path, table: str, funnel: str = "") -> None:
    """Put what was measured into the adapter's card; again replaces it.

    Args:
        table: the before/after table, in Markdown.
        funnel: how many files, sessions, steps, failures and pairs became the rows, in a line.
    """
    path = adapter / "README.md"
    text = path.read_text(encoding="utf-8")
    for start, what, end in ((START, table, END), (FUNNEL, funnel, FUNNEL_END)):
        text = _between(text, start, what.strip(), end) if what else text
    path.write_text(text, encoding="utf-8")


def _between(text: str, start: str, what: str, end: str) -> str:
    head, opened, rest = text.partition(start)
    _, closed, tail = rest.partition(end)
    return f"{head}{start}\n{what}\n{end}{tail}" if opened and closed else text
