"""Values with something else in one place, for tests that no record makes a reader raise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from misstep import store
from misstep.config import IngestConfig
from misstep.ingest import ingest
from misstep.types import Session
from reading import balances, lines

JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["", "1", "c1", "s", "user", "text", "{}", "message"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["type", "id", "payload", "text", "name"]), inner, max_size=2
        )
    ),
    max_leaves=4,
)


def changed(data: st.DataObject, value: Any) -> Any:
    """The value with something else in one place."""
    if isinstance(value, dict) and value and data.draw(st.integers(0, 4)):
        key = data.draw(st.sampled_from(sorted(value)))
        return {**value, key: changed(data, value[key])}
    if isinstance(value, list) and value and data.draw(st.integers(0, 4)):
        at = data.draw(st.integers(0, len(value) - 1))
        return [*value[:at], changed(data, value[at]), *value[at + 1 :]]
    return data.draw(JUNK)


def survives(data: st.DataObject, rows: list[Any], folder: Path, name: str) -> None:
    """Read the rows with up to three changes: nothing raises, the books balance, sessions hold."""
    for _ in range(data.draw(st.integers(1, 3))):
        rows = changed(data, rows)
        rows = rows if isinstance(rows, list) else [rows]
    (folder / "log.jsonl").write_bytes(lines(*rows))
    got = ingest([folder], config=IngestConfig(format=name))
    balances(got)
    for session in got.sessions:
        assert session.messages
        assert 0 <= session.prefix <= len(session.messages)
        for step in session.steps:
            session.context_of(step)
        assert store.decode(store.encode(session), Session) == session
