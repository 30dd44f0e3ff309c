"""Every format has a sample, and it reads byte for byte to the sessions that stand beside it."""

from __future__ import annotations

import pytest

from misstep.ingest import FORMATS
from reading import balances
from samples import LOGS, golden, read_sample

FOLDERS = sorted(path.parent.name for path in LOGS.glob("*/expected.json"))


@pytest.mark.parametrize("name", FOLDERS)
def test_a_sample_reads_to_the_sessions_beside_it(name: str) -> None:
    got = read_sample(name)
    balances(got)
    assert golden(got).decode() == (LOGS / name / "expected.json").read_text("utf-8")


def test_every_format_has_a_sample() -> None:
    assert [f.name for f in FORMATS if not (LOGS / f.name).is_dir()] == []
