"""The rules of the house: sizes, complete plug points, documents, and what start-up loads."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

import misstep
from misstep import store
from misstep.cli import COMMANDS, main
from misstep.codes import CODES
from misstep.dialects import DIALECTS
from misstep.dialects.table import UNMARKED
from misstep.ingest import FORMATS, WRAPPERS
from misstep.mine import SOURCES
from misstep.recipes import RECIPES
from misstep.validate import VALIDATORS

SRC = Path(misstep.__file__).parent
ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(SRC.rglob("*.py"))
ROOMS = ("ingest", "validate", "models", "mine", "train", "evaluate", "report")
HEAVY = ("torch", "transformers", "trl", "peft", "datasets", "polars", "rich")


def functions():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path.relative_to(SRC), node


def test_no_file_is_longer_than_four_hundred_lines():
    long = {
        str(p.relative_to(SRC)): n for p in FILES if (n := len(p.read_text().splitlines())) > 400
    }
    assert long == {}


def test_no_function_is_longer_than_sixty_lines():
    long = {
        f"{path}:{node.name}": size
        for path, node in functions()
        if (size := node.end_lineno - node.lineno + 1) > 60
    }
    assert long == {}


def test_no_function_takes_more_than_eight_parameters_outside_the_command_line():
    wide = {
        f"{path}:{node.name}": count
        for path, node in functions()
        if path.parts[0] != "cli" and (count := len(node.args.args) + len(node.args.kwonlyargs)) > 8
    }
    assert wide == {}


def test_every_module_says_what_it_is_for():
    silent = [
        str(p.relative_to(SRC)) for p in FILES if not ast.get_docstring(ast.parse(p.read_text()))
    ]
    assert silent == []


def test_every_public_function_of_a_room_has_a_docstring():
    silent = [
        f"{path}:{node.name}"
        for path, node in functions()
        if not node.name.startswith("_")
        and path.parts[0] != "cli"
        and node.col_offset == 0
        and not ast.get_docstring(node)
    ]
    assert silent == []


@pytest.mark.source
def test_every_room_has_tests_of_its_own():
    without = [room for room in ROOMS if not list((ROOT / "tests" / room).glob("test_*.py"))]
    assert without == []


def test_every_command_has_help_that_starts_with_a_sentence():
    for name in COMMANDS:
        result = CliRunner().invoke(main, [name, "--help"])
        assert result.exit_code == 0, result.output
        assert result.output.startswith(f"Usage: main {name}")


def test_every_format_is_documented_and_has_a_name_of_its_own():
    page = (ROOT / "docs" / "formats.md").read_text()
    names = [known.name for known in (*FORMATS, *WRAPPERS)]
    assert len(set(names)) == len(names)
    assert [name for name in names if f"| `{name}` |" not in page] == []


def test_every_format_has_a_sample_that_says_how_it_was_made_and_what_it_reads_to():
    own = ("expected.json", "README.md")
    demo = (
        "openai-chat",
        "anthropic-messages",
        "claude-code",
        "chat-rows",
    )  # one page for all four
    lacking = [
        f"{known.name}/{name}"
        for known in (*FORMATS, *WRAPPERS)
        if known.name not in demo
        for name in own
        if not (ROOT / "sample_logs" / known.name / name).is_file()
    ]
    assert lacking == []


@pytest.mark.source
def test_every_format_whose_writer_was_run_keeps_the_script_beside_its_sample():
    ours = ("openai-chat", "anthropic-messages", "claude-code", "chat-rows", "preference")
    without = [
        known.name
        for known in (*FORMATS, *WRAPPERS)
        if known.evidence == "writer"
        and known.name not in ours
        and not list((ROOT / "sample_logs" / known.name).glob("make*"))
        and "make.py" not in (ROOT / "sample_logs" / known.name / "README.md").read_text()
    ]
    assert without == []


@pytest.mark.source
def test_every_format_has_tests_of_its_own():
    pages = "".join(p.read_text() for p in (ROOT / "tests" / "ingest").rglob("test_*.py"))
    assert [f.name for f in FORMATS if f'"{f.name}"' not in pages] == []


def test_every_dialect_is_documented():
    page = (ROOT / "docs" / "formats.md").read_text()
    assert [d.name for d in (*DIALECTS, *UNMARKED) if f"| `{d.name}` |" not in page] == []


def test_every_code_is_documented_and_every_validator_names_known_codes():
    page = (ROOT / "docs" / "codes.md").read_text()
    assert [name for name in CODES if f"`{name}`" not in page] == []
    for validator in VALIDATORS:
        assert set(validator.codes) <= set(CODES), validator.name


def test_every_chosen_source_is_documented():
    page = (ROOT / "docs" / "pairs.md").read_text()
    assert [source.name for source in SOURCES if f"`{source.name}`" not in page] == []


def test_every_recipe_is_a_file_beside_the_others_and_is_documented():
    page = (ROOT / "docs" / "recipes.md").read_text()
    names = [each.name for each in RECIPES]
    assert sorted(path.stem for path in (SRC / "recipes").glob("*.yaml")) == sorted(names)
    assert [name for name in names if f"| `{name}` |" not in page] == []


@pytest.mark.source
def test_every_schema_is_a_schema_and_is_found_by_name():
    for path in sorted((ROOT / "schemas").glob("*.json")):
        schema = json.loads(path.read_text())
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema", path.name
        assert store.schema(path.stem) == schema


def loaded_by(*words: str) -> set[str]:
    code = (
        "import sys\nfrom misstep.cli import main\n"
        f"try:\n    main({list(words)!r}, prog_name='misstep')\n"
        "except SystemExit:\n    pass\n"
        f"print('LOADED', *[m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stderr.split("LOADED")[1].split())


def test_help_loads_nothing_heavy():
    assert loaded_by("--help") == set()


def test_a_scan_never_loads_torch(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text(
        '{"messages": [{"role": "user", "content": "hi"}, '
        '{"role": "assistant", "content": "hello"}]}\n'
    )
    assert (
        loaded_by("scan", str(log)) & {"torch", "transformers", "trl", "peft", "datasets"} == set()
    )


def test_help_answers_at_once():
    took = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "misstep", "--help"], capture_output=True, check=True)
        took.append(time.perf_counter() - start)
    # a loose bound that only an eager import breaks; the figure itself is in benchmarks/
    assert min(took) < 3.0
