"""Records a terminal session for README and docs: `python docs/record.py` writes images/scan.svg.

In: `misstep scan sample_logs`, run for real at 80 columns. Out: what it printed, in colour, as an
SVG that fetches nothing. A test compares its words with a fresh run; seconds aside.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "images" / "scan.svg"
COMMAND = ("misstep", "scan", "sample_logs")
_FONT = re.compile(r"@font-face\s*\{.*?\}\s*", re.DOTALL)


def spoken() -> str:
    """What the command prints on stdout, with colour."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from misstep import api\n"
        "told = api.tell([Path('sample_logs')], api.load_config())\n"
        "sys.stdout.write(api.scan_text(told, colour=True, width=80))"
    )
    run = subprocess.run(  # noqa: S603 - our own interpreter, our own words
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return run.stdout


def picture(said: str) -> str:
    """The session as an SVG; the web font of rich's own form is left out."""
    # a file, so that nothing shows while it records
    with Path("/dev/null").open("w") as nowhere:
        console = Console(record=True, width=82, file=nowhere, force_terminal=True)
        console.print(Text.assemble(("$ ", "bold green"), " ".join(COMMAND)))
        console.print(Text.from_ansi(said.rstrip("\n")))
        drawn = console.export_svg(title=" ".join(COMMAND), theme=MONOKAI, unique_id="scan")
    return _FONT.sub("", drawn)


if __name__ == "__main__":
    OUT.write_text(picture(spoken()), encoding="utf-8")
