"""Reads the spans and log records of one format.

In: records in any layout that `layouts` knows. Out: sessions. A span counts as one unit, a log
record as another. What a span is, is decided span by span (`classify`), and how spans belong
together only when all are in (`book`).
"""

from __future__ import annotations

from misstep.ingest.format import Misfit, Record, Tally
from misstep.ingest.messages import place
from misstep.ingest.spans import genai
from misstep.ingest.spans.book import SpanBook
from misstep.ingest.spans.classify import Desk, find, offered, request_of, whole_or_cut
from misstep.ingest.spans.found import spot_of
from misstep.ingest.spans.layouts import units
from misstep.ingest.spans.span import Log, Odd, Span
from misstep.types import Origin, Session


class SpanReader:
    """Reads all spans of one format."""

    def __init__(self, format_name: str, tally: Tally) -> None:
        self._tally = tally
        self._desk = Desk()
        self._book = SpanBook(format_name, tally)
        self._logs: dict[tuple[str, str], list[Log]] = {}
        self._loose = 0

    def read(self, record: Record) -> None:
        """Take one record with all its spans."""
        found = units(record)
        self._tally.unfold(len(found))
        for unit in found:
            if isinstance(unit, Span):
                self._span(unit)
            elif isinstance(unit, Log):
                self._log(unit)
            elif isinstance(unit, Odd):
                origin = record.at(place(record, unit.pointer))
                self._tally.aside(origin, "unknown-record", unit.said)
            else:
                self._tally.ignore(unit.kind)

    def _span(self, span: Span) -> None:
        spot = spot_of(span)
        if self._book.seen(spot):
            self._tally.ignore("repeated-span")
            return
        try:
            found = find(span, self._desk)
        except Misfit as misfit:
            self._tally.aside(_origin(span, misfit), misfit.reason, misfit.said)
            self._book.pass_through(spot)
        else:
            self._book.take(found)

    def _log(self, log: Log) -> None:
        if log.name in genai.SPOKEN or (
            log.name == genai.DETAILS and genai.has_messages(log.attributes)
        ):
            self._logs.setdefault(self._place_of(log), []).append(log)
        else:
            self._tally.ignore("log")

    def _place_of(self, log: Log) -> tuple[str, str]:
        """The span of a log record; those of none belong together up to the answer."""
        if log.span:
            return (log.trace, log.span)
        key = ("", str(self._loose))
        held = self._logs.get(key)
        if log.name == genai.DETAILS or (
            held and held[-1].name == genai.CHOICE and log.name != genai.CHOICE
        ):
            self._loose += 1
        return ("", str(self._loose))

    def close_file(self) -> None:
        """A trace may go on in another file."""

    def finish(self) -> tuple[Session, ...]:
        """All conversations."""
        for key, logs in self._logs.items():
            logs.sort(key=lambda log: log.time or 0.0)
            try:
                self._heard(key, logs)
            except Misfit as misfit:
                for log in logs:
                    self._tally.aside(_origin(log, misfit), misfit.reason, misfit.said)
        return self._book.finish()

    def _heard(self, key: tuple[str, str], logs: list[Log]) -> None:
        """Messages that stand in log records of one span."""
        bare = self._book.bare(key)
        if bare is None and self._book.knows(key):
            self._tally.ignore("repeated-log", len(logs))
            return
        details = next((log for log in logs if log.name == genai.DETAILS), None)
        if details is not None:
            told = genai.from_attributes(details.attributes, self._desk.histories, key[0])
        else:
            bodies = [(log.name, log.body or log.attributes) for log in logs]
            told = genai.from_events(bodies, self._desk.histories)
        if bare is not None:
            bare.history = told[0]
            bare.answers = whole_or_cut(told[1]) or bare.answers
            self._tally.use(len(logs))
            return
        span = _as_span(key, details or logs[-1], genai.DETAILS)
        context = offered(span.attributes, self._desk)
        self._tally.use(len(logs) - 1)
        self._book.take(request_of(span, told, context, span.attributes))


def _as_span(key: tuple[str, str], log: Log, name: str) -> Span:
    """A span of which only the log records are there."""
    return Span(
        trace=key[0],
        id=log.span,
        parent=None,
        name=name,
        start=log.time,
        end=log.time,
        failed=None,
        said=None,
        attributes=log.attributes,
        events=[],
        pointer=log.pointer,
        record=log.record,
    )


def _origin(unit: Span | Log, misfit: Misfit) -> Origin:
    row = unit.id if isinstance(unit, Span) else unit.span
    return unit.record.at(place(unit.record, unit.pointer + misfit.pointer), row or None)
