from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from misstep.codes import CODES
from misstep.validate.schema import compiled

DRAFTS = (
    "http://json-schema.org/draft-04/schema#",
    "http://json-schema.org/draft-06/schema#",
    "http://json-schema.org/draft-07/schema#",
    "https://json-schema.org/draft/2019-09/schema",
    "https://json-schema.org/draft/2020-12/schema",
)
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


WRONG = {
    "date": "31 May",
    "time": "noon",
    "date-time": "2025-13-01T00:00:00Z",
    "email": "nobody",
    "idn-email": "nobody",
    "hostname": "-a",
    "ipv4": "1.2.3",
    "ipv6": "1::2::3",
    "uri": "not a uri",
    "regex": "(",
    "uri-reference": "\\\\host",
    "uri-template": "{a",
    "json-pointer": "a",
    "idn-hostname": "-a",
    "iri": "not an iri",
    "iri-reference": "\\\\host",
    "relative-json-pointer": "/a",
    "uuid": "1234",
    "duration": "two days",
}
SINCE = {"every draft": 0, "from draft 6": 1, "from draft 7": 2, "from 2019-09": 3}


def test_the_formats_that_the_page_lists_are_asserted_from_the_draft_that_it_names():
    text = PAGE.read_text(encoding="utf-8")
    table = text.split("| format | asserted in |")[1].split("\n\n")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines()[2:]]
    told = {name: SINCE[since.strip()] for names, since in rows for name in names.split("`")[1::2]}
    assert told.keys() == WRONG.keys()
    for name, since in told.items():
        for at, draft in enumerate(DRAFTS):
            known = compiled(json.dumps({"$schema": draft, "format": name}))
            assert known.validator.is_valid(WRONG[name]) is (at < since), (name, draft)
