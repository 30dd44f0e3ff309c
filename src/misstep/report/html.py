"""report.html: one self-contained file, made with Jinja2.

In: a `RunView`. Out: one HTML file that opens from `file://`, fetches nothing and runs no script
but its own: a content-security policy names the hashes of its one style and one script, and every
logged text is escaped. Without scripts everything is shown, only the pair filter is missing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from misstep import store
from misstep.errors import ExtraMissing
from misstep.report import charts, tables, words
from misstep.report.markdown import METHOD
from misstep.report.pairview import PairView, pair_view
from misstep.report.view import RunView

if TYPE_CHECKING:
    from jinja2 import Environment

MAX_PAIRS = 500
"""Pairs shown; the rest stays in the run folder's Parquet file, and the page says so."""
MAX_BYTES = 15_000_000
"""Stop adding pairs at about this many characters of shown text."""
MAX_ROWS = 200
"""Rows of a table of tools."""


def write_html(run: RunView, path: Path) -> None:
    """Write the report.

    Raises:
        ExtraMissing: Jinja2 is not installed.
        StageError: the file cannot be written.
    """
    store.write_text(path, render(run))


def render(run: RunView) -> str:
    """The page as text."""
    return fill("report.html", "report.js", run=run, **_parts(run))


def fill(template: str, script: str, **values: Any) -> str:
    """A page of ours: a template with its one style and one script, and the policy that names them.

    Raises:
        ExtraMissing: Jinja2 is not installed.
    """
    environment = _environment()
    style, code = _asset("report.css"), _asset(script)
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"style-src {_hash(style)}; script-src {_hash(code)}"
    )
    page: str = environment.get_template(template).render(
        style=style, script=code, policy=policy, **values
    )
    return page


def _parts(run: RunView) -> Mapping[str, Any]:
    lines = tables.changes(run.scores)
    pairs = tuple(_pairs(run))
    return {
        "headline": tables.headline(run),
        "verdict": "scan" if run.scores is None else run.scores["verdict"],
        "funnel": tables.funnel(run),
        "lines": lines,
        "arms": tables.compared(run.scores),
        "beside": tables.arms_beside(run.scores) if run.scores is not None else (),
        "also": tables.also(run.scores),
        "axis": charts.axis(lines),
        "guards": tables.rows_of(run, "guards"),
        "collateral": tables.rows_of(run, "collateral"),
        "guard_words": tables.GUARD_WORDS,
        "collateral_words": tables.COLLATERAL_WORDS,
        "codes": tables.code_counts(run.summary),
        "tools": tables.tool_counts(run.summary)[:MAX_ROWS],
        "tools_total": len(run.summary.get("tools", {})),
        "curves": tuple(charts.curves(run.training)),
        "pairs": pairs,
        "pairs_total": len(run.pairs) if run.pairs_total is None else run.pairs_total,
        "lengths": _lengths(pairs),
        "pair_sources": sorted({pair.source for pair in pairs}),
        "pair_codes": sorted({code for pair in pairs for code in pair.codes}),
        "pair_tools": sorted({tool for pair in pairs for tool in pair.called}),
        "left_out": tuple(_left_out(run)),
        "settings": tuple(tables.flat(run.config)),
        "method": METHOD,
    }


def _pairs(run: RunView) -> Iterator[PairView]:
    shown = 0
    for number, row in enumerate(run.pairs[:MAX_PAIRS], start=1):
        view = pair_view(row, number)
        blocks = (*view.chosen, *view.rejected, *(b for turn in view.tail for b in turn.blocks))
        shown += sum(len(piece.text) for block in blocks for piece in block.runs)
        if shown > MAX_BYTES:
            return
        yield view


def _lengths(pairs: Sequence[PairView]) -> tuple[int, int] | None:
    """Median characters of the chosen and of the rejected sides that are shown."""
    if not pairs:
        return None
    sides = ((pair.chosen for pair in pairs), (pair.rejected for pair in pairs))
    chosen, rejected = (
        int(median(sum(len(r.text) for b in blocks for r in b.runs) for blocks in side))
        for side in sides
    )
    return chosen, rejected


def _left_out(run: RunView) -> Iterator[tuple[str, Mapping[str, int]]]:
    counts: tuple[tuple[str, Mapping[str, int]], ...] = (
        ("pairs by source", run.sources),
        ("candidate pairs refused", run.refused),
        ("log records set aside", run.summary.get("set_aside", {})),
        ("log records ignored (bookkeeping)", run.summary.get("ignored", {})),
        *((f"{t.stage}: rows set aside", t.set_aside) for t in run.training),
    )
    return ((title, dict(sorted(each.items()))) for title, each in counts if each)


def _environment() -> Environment:
    try:
        import jinja2
    except ImportError:
        raise ExtraMissing("report", "Jinja2") from None
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=words.percent,
        points=words.points,
        number=words.number,
        spell_p=words.spell_p,
        visible=words.visible,
    )
    return environment


def _asset(name: str) -> str:
    return (resources.files("misstep.report") / "templates" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
