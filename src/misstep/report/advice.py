"""Why steps could not be judged, and what a person can add so that they can be.

In: the reason of an unjudged verdict. Out: a few words, the same in the terminal and in the page.
"""

from __future__ import annotations

from collections.abc import Mapping

_ADVICE: Mapping[str, tuple[str, ...]] = {
    "no tools are known": (
        "--tools FILE with their schemas; misstep tools LOGS -o FILE writes a first one",
        "--tools FILE; see misstep tools",
    ),
    "only an inferred schema is known": (
        "read the tools file, correct it, and drop the marks of what was inferred",
        "correct the tools file",
    ),
    "no usable schema": ("--tools FILE with schemas that can be used",),
    "plain text, and nothing was demanded of it": (
        "--expect-json or --schema FILE where answers should be JSON; "
        "--set validate.expect_call=always where every step should call a tool",
        "--schema FILE",
    ),
    "there is no answer": ("nothing: an error or a refusal of the provider",),
}
"""By the reason up to its first detail, as `validate.verdict` words it: in full, and in short."""


def advice_for(reason: str, room: int | None = None) -> str:
    """What to do about a reason, in at most `room` characters; empty where nothing is known."""
    said = _ADVICE.get(reason, ())
    return next((words for words in said if room is None or len(words) <= room), "")
