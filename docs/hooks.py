"""What mkdocs is told beyond mkdocs.yml: files outside docs/ join the site, and links are mended.

Why a code block is not run by the tests, a comment in the source, is a line that readers see.
In: the pages of docs/ and what they link to beside it. Out: the same with links as the site needs
them. In the sources a link is relative to the checkout, so that it also works in an editor.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
BESIDE = (
    "design/*.md",
    "benchmarks/README.md",
    "benchmarks/results/*.json",
    "schemas/*.json",
    "sample_logs/README.md",
    "CHANGELOG.md",
)
"""Files of the checkout that the pages link to."""
_NOT_RUN = re.compile(r"<!-- not run: (.+?) -->", re.DOTALL)
_LINK = re.compile(r"(\]\()\.\./([^)\s]+\))")


def on_config(config: Any) -> Any:
    """Every page under design/ stands in the navigation, without being listed by hand."""
    pages = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("design/*.md"))
    config.nav.append({"Decisions": pages})
    return config


def on_files(files: Files, *, config: Any) -> Files:
    """The files beside docs/ as pages and downloads of the site."""
    for pattern in BESIDE:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """`../design/x.md` in docs/ is `design/x.md` there; `../docs/x.md` beside it is `../x.md`."""
    markdown = _NOT_RUN.sub(r"*Not run by the tests: \1.*\n", markdown)
    if "/" in page.file.src_uri:
        return markdown.replace("](../docs/", "](../")
    return _LINK.sub(r"\1\2", markdown)
