"""SQL judged by sqlglot: an error only where no dialect that may be meant reads the text.

In: a text and `sql` or the name of a dialect. Out: None, or line, column and what was said. The
parsers are generous (statements that they do not know pass), so a snag means something.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

DIALECTS: dict[str, tuple[str | None, ...]] = {
    "sql": (None, "postgres", "mysql", "tsql", "bigquery", "snowflake", "sqlite", "clickhouse"),
    **{
        name: (name, None)
        for name in (
            "postgres", "mysql", "sqlite", "tsql", "bigquery", "snowflake", "duckdb",
            "clickhouse", "spark", "hive", "oracle", "redshift", "presto", "trino",
        )
    },
}  # fmt: skip
"""By language: the dialects that are tried in turn."""
_CLIENT = re.compile(r"^[ \t]*(?:\\|\.[a-z]|GO[ \t]*$|DELIMITER\b).*$", re.M)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_ONE = Lock()


def sql_snag(text: str, name: str) -> tuple[int, int, str] | None:
    """Where the first dialect stops if all of them do; lines for the client are left out."""
    import sqlglot
    from sqlglot.errors import ParseError, TokenError

    plain = _CLIENT.sub("", text)
    first: Exception | None = None
    with _quiet(logging.getLogger("sqlglot")):
        for dialect in DIALECTS[name]:
            try:
                sqlglot.parse(plain, read=dialect)
            except (ParseError, TokenError) as error:
                first = first or error
            else:
                return None
    said = _COLOUR.sub("", str(first)).split("\n")[0]
    for detail in first.errors if isinstance(first, ParseError) else ():
        if detail.get("line"):
            said = str(detail.get("description") or said).rstrip(".")
            return int(detail["line"]), max(int(detail["col"]), 1), said
    return text.count("\n") + 1, 1, said


@contextmanager
def _quiet(log: logging.Logger) -> Iterator[None]:
    """Without what the parser tells of statements that it does not know; one thread at a time."""
    with _ONE:
        log.disabled = True
        try:
            yield
        finally:
            log.disabled = False
