import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
MADE = runpy.run_path(str(DOCS / "generate.py"))


def test_the_command_line_page_is_what_the_commands_say():
    assert (DOCS / "cli.md").read_text() == MADE["cli_page"](), "run: python docs/generate.py"


def test_the_settings_page_is_what_the_settings_say():
    assert (DOCS / "config.md").read_text() == MADE["config_page"](), "run: python docs/generate.py"


@pytest.mark.source
def test_pages_link_only_to_files_that_exist():
    import re

    for page in [*DOCS.glob("*.md"), DOCS.parent / "README.md"]:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
