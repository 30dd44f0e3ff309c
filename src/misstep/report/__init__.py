"""What a person sees: terminal summary, report.md and report.html, from one `RunView`."""

from misstep.report.contrast import comparison_text, nothing_compared
from misstep.report.html import write_html
from misstep.report.markdown import before_after, write_markdown
from misstep.report.pairdata import MAX_PAIRS
from misstep.report.pairview import PairView, pair_view
from misstep.report.sarif import write_sarif
from misstep.report.scanpage import write_scan
from misstep.report.terminal import scan_summary, terminal_summary, wants_colour
from misstep.report.view import RunView, ScanView, Training
from misstep.report.words import visible

__all__ = [
    "MAX_PAIRS",
    "PairView",
    "RunView",
    "ScanView",
    "Training",
    "before_after",
    "comparison_text",
    "nothing_compared",
    "pair_view",
    "scan_summary",
    "terminal_summary",
    "visible",
    "wants_colour",
    "write_html",
    "write_markdown",
    "write_sarif",
    "write_scan",
]
