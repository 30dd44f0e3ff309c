import json
import re
import runpy
from pathlib import Path

import pytest
import yaml

from misstep import store
from misstep.codes import CODES
from misstep.config import RunConfig, dump_config
from misstep.errors import StageError

DOCS = Path(__file__).resolve().parents[1] / "docs"
MADE = runpy.run_path(str(DOCS / "generate.py"))


def test_the_command_line_page_is_what_the_commands_say():
    assert (DOCS / "cli.md").read_text() == MADE["cli_page"](), "run: python docs/generate.py"


def test_the_settings_page_is_what_the_settings_say():
    assert (DOCS / "config.md").read_text() == MADE["config_page"](), "run: python docs/generate.py"


def test_the_settings_schema_takes_the_defaults_and_refuses_unknown_keys():
    schema = store.schema("config")
    assert schema == json.loads(MADE["config_schema"]()), "run: python docs/generate.py"
    store.check_row(yaml.safe_load(dump_config(RunConfig())), "config")
    with pytest.raises(StageError):
        store.check_row({"sed": 1}, "config")


@pytest.mark.source
def test_pages_link_only_to_files_that_exist():
    for page in [*DOCS.glob("*.md"), DOCS.parent / "README.md"]:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


@pytest.mark.source
def test_the_tables_of_the_front_page_are_what_the_code_says():
    text = (DOCS.parent / "README.md").read_text()
    assert text == MADE["readme"](text), "run: python docs/generate.py"
    assert "| others |" not in text, "a format stands in no row of FAMILIES in docs/generate.py"


def test_the_codes_page_gives_each_code_its_level_and_says_whether_it_shows_offline():
    rows = re.findall(r"^\| `(\w+)` \| ([a-z, ]+) \| (yes|no) \|", _page("codes"), re.MULTILINE)
    said = {name: (levels.split(", "), offline == "yes") for name, levels, offline in rows}
    assert [name for name in CODES if name not in said and name != "VALIDATOR_ERROR"] == []
    for name, (levels, offline) in said.items():
        assert CODES[name].level in levels, name
        assert CODES[name].offline == offline, name


def test_the_defaults_page_gives_the_defaults_of_the_code():
    known = {key: default for key, default, _ in MADE["settings"]()}
    rows = re.findall(r"^\| `([\w.]+)` \| `([^`]+)` \|", _page("defaults"), re.MULTILINE)
    assert len(rows) > 40
    assert [(key, said, known.get(key)) for key, said in rows if known.get(key) != said] == []


def test_every_default_says_why_and_where_from():
    rows = re.findall(r"^\| (`[\w.]+` .*) \|$", _page("defaults"), re.MULTILINE)
    cells = [[cell.strip() for cell in row.split(" | ")] for row in rows]
    assert [row[0] for row in cells if len(row) != 4 or not (row[2] or row[3])] == []


def _page(name):
    return (DOCS / f"{name}.md").read_text()
