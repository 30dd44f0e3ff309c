import json
import re
import runpy
from pathlib import Path

import pytest
import yaml

from misstep import store
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
