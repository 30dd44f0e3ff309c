"""What a person sees: terminal summary, report.md and report.html, from one `RunView`."""

from misstep.report.html import write_html
from misstep.report.markdown import before_after, write_markdown
from misstep.report.scanpage import write_scan
from misstep.report.terminal import scan_summary, terminal_summary, wants_colour
from misstep.report.view import RunView, ScanView, Training

__all__ = [
    "RunView",
    "ScanView",
    "Training",
    "before_after",
    "scan_summary",
    "terminal_summary",
    "wants_colour",
    "write_html",
    "write_markdown",
    "write_scan",
]
