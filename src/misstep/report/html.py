"""report.html: one self-contained file, made with Jinja2.

In: a `RunView`. Out: one HTML file that opens from `file://`, fetches nothing and runs no script
but its own: a content-security policy names the hashes of its one style and one script, and every
logged text is escaped. The pairs lie in it packed, as data; without scripts, and on paper, the
first few are shown.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from misstep import store
from misstep.report import charts, effect, tables, words
from misstep.report.disagree import disagreements
from misstep.report.failures import failure_parts
from misstep.report.markdown import METHOD
from misstep.report.pairdata import pair_data
from misstep.report.quality import quality_tables
from misstep.report.view import RunView

if TYPE_CHECKING:
    from jinja2 import Environment

FIRST = 10
"""Pairs that are laid out in the page itself, for paper and for readers without scripts."""


def write_html(run: RunView, path: Path) -> None:
    """Write the report.

    Raises:
        StageError: the file cannot be written.
    """
    store.write_text(path, render(run))


def render(run: RunView) -> str:
    """The page as text."""
    return fill("report.html", "report.js", images=bool(run.pages), run=run, **_parts(run))


def fill(template: str, script: str, *, images: bool = False, **values: Any) -> str:
    """A page of ours: a template with its one style and one script, and the policy that names them.

    Args:
        images: whether pictures that stand in the page itself are shown.

    Raises:
    """
    environment = _environment()
    style, code = _asset("report.css"), _asset("copy.js") + _asset(script)
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"style-src {_hash(style)}; script-src {_hash(code)}"
    )
    if images:
        policy += "; img-src data:"
    page: str = environment.get_template(template).render(
        style=style, script=code, policy=policy, **values
    )
    return page


def _parts(run: RunView) -> Mapping[str, Any]:
    lines = tables.changes(run.scores)
    pairs = pair_data(run.pairs, first=FIRST)
    return {
        **failure_parts(run.page),
        "headline": tables.headline(run),
        "verdict": "scan" if run.scores is None else run.scores["verdict"],
        "funnel": tables.funnel(run),
        "lines": lines,
        "answers": effect.parts(run),
        "asked": effect.title(run),
        "arms": tables.compared(run.scores),
        "beside": tables.arms_beside(run.scores) if run.scores is not None else (),
        "also": tables.also(run.scores),
        "quality": quality_tables(run.scores, run.timing),
        "disagreed": disagreements(run),
        "axis": charts.axis(lines),
        "guards": tables.rows_of(run, "guards"),
        "collateral": tables.rows_of(run, "collateral"),
        "guard_words": tables.GUARD_WORDS,
        "collateral_words": tables.COLLATERAL_WORDS,
        "curves": tuple(charts.curves(run.training)),
        "pairs": pairs,
        "pairs_total": len(run.pairs) if run.pairs_total is None else run.pairs_total,
        "pairs_train": len(run.pairs) if run.pairs_train is None else run.pairs_train,
        "lengths": charts.lengths(pairs.lengths),
        "left_out": tuple(_left_out(run)),
        "settings": tuple(tables.flat(run.config)),
        "method": METHOD,
    }


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
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=words.percent,
        points=words.points,
        number=words.number,
        noun=words.noun,
        spell_p=words.spell_p,
        exact_p=words.exact_p,
        visible=words.visible,
    )
    return environment


def _template(name: str) -> str | None:
    """A template; None where there is none, which a page may ask for."""
    path = resources.files("misstep.report") / "templates" / name
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _asset(name: str) -> str:
    return (resources.files("misstep.report") / "templates" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
