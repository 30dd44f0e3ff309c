from __future__ import annotations

import re
from pathlib import Path

import pytest

from misstep.codes import CODES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "codes.md"
ROW = re.compile(r"^\| `([A-Z_]+)` \| ([a-z, ]+) \| (yes|no) \| (.+) \| (.+) \|$", re.M)

pytestmark = pytest.mark.source


def test_the_table_holds_every_code_once_and_no_other():
    names = [row[0] for row in ROW.findall(PAGE.read_text(encoding="utf-8"))]
    assert sorted(names) == sorted(CODES)


def test_the_table_agrees_with_the_codes_on_level_and_offline():
    for name, levels, offline, *_ in ROW.findall(PAGE.read_text(encoding="utf-8")):
        assert CODES[name].level in levels.split(", "), name
        assert (offline == "yes") is CODES[name].offline, name
