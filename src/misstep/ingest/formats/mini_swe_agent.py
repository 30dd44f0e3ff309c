"""mini-swe-agent trajectories: a list of messages (v1), or `{info, messages, trajectory_format}`.

A unit is a message. Where the model writes its command in a fenced block, the block is the call of
`bash` (custom, code) and the reply is its result; the text keeps what stands around the block. With
tool calls (v2) and the Responses API, argument text is byte for byte. Kept: `returncode` as exit
code, the human's refusals as cause, format errors as the fault of the answer that they turned down;
v2 keeps that answer only beside the error, here it stands before it. Cannot tell: the tool's
schema, which is part of the program, and whether the task was solved.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from misstep.chat import content_text
from misstep.ingest.build import linear
from misstep.ingest.context import Contexts
from misstep.ingest.format import Format, Misfit, Peek, Record, Tally, share
from misstep.ingest.harnesses.harness import (
    list_at,
    mapping,
    object_at,
)
from misstep.ingest.harnesses.mini_run import Run
from misstep.ingest.messages import (
    text_or_none,
)
from misstep.ingest.oneby import set_aside
from misstep.types import (
    Context,
    Session,
    content_id,
)

NAME = "mini-swe-agent"
_SUBMIT = re.compile(r"COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT|MICRO_SWE_AGENT_FINAL_OUTPUT")


class _Runs:
    """Reads trajectories; the bare messages of a list are one trajectory a file."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._contexts = Contexts()
        self._loose: list[tuple[Record, Any, str]] = []
        self._sessions: list[Session] = []

    def read(self, record: Record) -> None:
        """Take one trajectory, or one message of one."""
        value = record.value
        if isinstance(value, dict) and "role" in value and "messages" not in value:
            self._loose.append((record, value, ""))
            return
        try:
            rows = list_at(object_at(value, "").get("messages"), "/messages")
        except Misfit as misfit:
            set_aside(self._tally, record, misfit)
            return
        self._tally.unfold(len(rows))
        placed = [(record, row, f"/messages/{i}") for i, row in enumerate(rows)]
        self._run(placed, mapping(value.get("info")), text_or_none(value.get("instance_id")))

    def close_file(self) -> None:
        """A list of messages ends with its file."""
        if self._loose:
            self._run(self._loose, {}, None)
            self._loose = []

    def finish(self) -> Sequence[Session]:
        """All trajectories."""
        return tuple(self._sessions)

    def _run(
        self, rows: Sequence[tuple[Record, Any, str]], info: Mapping[str, Any], task: str | None
    ) -> None:
        config = mapping(mapping(info.get("config")).get("model"))
        run = Run(text_or_none(config.get("model_name")))
        for record, row, pointer in rows:
            try:
                taken = run.take(row, record, pointer)
            except Misfit as misfit:
                set_aside(self._tally, record, misfit)
                continue
            if taken:
                self._tally.use()
            else:
                self._tally.ignore("exit")
        if not run.messages:
            return
        first = next((m.text for m in run.messages if m.role == "user"), "")
        self._sessions.append(
            linear(
                NAME,
                run.messages,
                contexts=self._offer(config),
                family=task or content_id(first),
            )
        )

    def _offer(self, config: Mapping[str, Any]) -> Context | None:
        options = mapping(config.get("model_kwargs"))
        names = ("temperature", "top_p", "max_tokens", "max_completion_tokens")
        known = {name: options[name] for name in names if options.get(name) is not None}
        return self._contexts.of(known) if known else None


def _weigh(value: dict[str, Any]) -> float:
    named = value.get("trajectory_format")
    if isinstance(named, str) and named.startswith(NAME):
        return 1.0
    info = value.get("info")
    if isinstance(info, dict) and "mini_version" in info and "messages" in value:
        return 1.0
    return 0.0


def sniff(peek: Peek) -> float:
    """A trajectory that names itself, or messages whose prompt asks for the marker of the end."""
    rows = [v for v in peek.values if isinstance(v, dict)]
    if rows and all("role" in row and "content" in row for row in rows):
        opening = [content_text(r["content"]) for r in rows[:2] if r.get("role") != "assistant"]
        return 0.95 if any(_SUBMIT.search(text) for text in opening) else 0.0
    return share(peek, _weigh)


def _reader(tally: Tally) -> _Runs:
    return _Runs(tally)


FORMAT = Format(
    name=NAME,
    about="mini-swe-agent trajectories; no tool schema, no verdict on the task",
    unit="message",
    sniff=sniff,
    reader=_reader,
    keeps_tools=False,
)
