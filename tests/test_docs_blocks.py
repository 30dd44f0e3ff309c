"""Every code block of README and docs runs, or says why it does not."""

import json
import re
import sys
import tomllib
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from blocks import (
    LANGUAGES,
    ROOT,
    SHELL,
    Block,
    blocks,
    bound,
    commands,
    furnish,
    in_workflow,
    ours,
    parse,
    parsed_only,
    tiny,
    trains,
)
from misstep import store
from misstep.cli import main
from misstep.codes import CODES
from misstep.config import RunConfig, load_config

pytestmark = pytest.mark.source

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
GENERATED = ("cli.md", "config.md")
HEAVY = re.compile(r"^\s*(?:from|import) (?:torch|transformers|trl|peft|datasets)\b", re.MULTILINE)
SECTIONS = set(RunConfig.__dataclass_fields__)


def of(page):
    return [block for block in blocks(page) if not block.reason]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A furnished folder that the page is read in."""
    monkeypatch.chdir(furnish(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    before, codes = set(sys.modules), dict(CODES)
    yield tmp_path
    CODES.clear()  # a page's validators declare codes of their own
    CODES.update(codes)
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(vars(sys.modules[name]).get("__file__")):  # the page wrote it
            del sys.modules[name]


def run(words):
    done = CliRunner().invoke(main, words)
    said = f"misstep {' '.join(words)}\n{done.output}"
    assert done.exception is None or isinstance(done.exception, SystemExit), said
    assert done.exit_code in (0, 3), said
    return done.stdout


def python(block: Block):
    if HEAVY.search(block.text):
        return
    if block.name:
        Path(block.name).write_text(block.text, encoding="utf-8")
    text = block.text.replace('"DIR"', '"pairs"')
    exec(compile(text, str(block), "exec"), {"__name__": "__main__"})


def data(block: Block):
    if block.name:
        Path(block.name).write_text(block.text, encoding="utf-8")
    if block.language == "toml":
        tomllib.loads(block.text)
    elif block.language == "yaml":
        settings(block)
    else:
        rows = block.text.strip()
        try:
            values = [json.loads(rows)]
        except json.JSONDecodeError:
            values = [json.loads(line) for line in rows.splitlines()]
        for value in values:
            if isinstance(value, dict) and set(value) <= {"tools", "off_limits"}:
                store.check_row(value, "tools")


def settings(block: Block):
    found = yaml.safe_load(block.text)
    for text in in_workflow(block.text):
        for row in commands(Block(page=block.page, line=block.line, language="sh", text=text)):
            hold(row)
    if isinstance(found, dict) and set(found) & SECTIONS:
        Path("page.yaml").write_text(block.text, encoding="utf-8")
        load_config(Path("page.yaml"))


def hold(row):
    """Hold a command against the command line; gives its words if it is ours."""
    words = ours(row)
    if words is None:
        return None
    words = bound(words, Path.cwd())
    try:
        parse(words)
    except click.ClickException as error:
        raise AssertionError(f"misstep {' '.join(words)}: {error.format_message()}") from error
    except click.exceptions.Exit:
        pass
    return words


def shell(block: Block):
    """Run what is quick, parse the rest; gives what the last quick command said."""
    said = None
    for row in commands(block):
        said = None
        words = hold(row)
        if words and not parsed_only(words) and not trains(words):
            said = run(words) if words == ours(row) else run(words) and None
    return said


def test_every_block_is_in_a_language_that_is_checked():
    other = [
        f"{b}: {b.language}" for page in PAGES for b in of(page) if b.language not in LANGUAGES
    ]
    assert other == []


def test_a_block_that_is_not_run_says_why_in_words():
    assert [str(b) for page in PAGES for b in blocks(page) if b.reason and len(b.reason) < 10] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("misstep scan logs/ --strickt", "No such option"),
        ("misstep skan logs/", "no command"),
        ("misstep scan nowhere.jsonl", "no such file"),
        ("mistep scan logs/", "unknown commands"),
    ],
)
def test_a_command_that_would_be_turned_down_fails_its_page(text, said, place):
    with pytest.raises((AssertionError, click.ClickException), match=said):
        shell(Block(page="x.md", line=1, language="sh", text=text))


def test_a_tree_of_files_is_no_shell_and_an_indented_command_is():
    tree = Block(page="x.md", line=1, language="", text="DIR/ README.md\n     pairs/\n")
    assert commands(tree) == []
    tree = Block(page="x.md", line=1, language="", text="misstep scan logs/ > out.txt # words\n")
    assert commands(tree) == [["misstep", "scan", "logs/"]]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_blocks_of_a_page_do_what_they_say(page, place):
    if page.name in GENERATED:
        return
    said = None
    for block in of(page):
        if block.language == "text":
            if block.follows and said is not None:
                assert timeless(said) == timeless(block.text), str(block)
            said = None
        elif block.language in SHELL:
            said = shell(block)
        elif block.language == "python":
            python(block)
        else:
            data(block)


def timeless(text):
    return re.sub(r"\d+\.\d+ s\b", "T s", text.strip())


@pytest.mark.slow
@pytest.mark.model
def test_the_commands_of_the_pages_that_train_run_on_a_tiny_model(place):
    pytest.importorskip("torch", reason="training needs the train extra")
    from tiny import build_tiny

    build_tiny(place / "tiny")
    todo = {
        tuple(words): str(block)
        for page in PAGES
        if page.name not in GENERATED
        for block in of(page)
        if block.language in SHELL
        for row in commands(block)
        if row[0] == "misstep" and trains(words := row[1:]) and not parsed_only(words)
    }
    run(tiny(["run", "logs/", "--model", "tiny", "-o", "run/"]))
    assert [name for name in run_folder() if not (place / "run" / name).exists()] == []
    assert len(todo) > 10
    for words, where in sorted(todo.items(), key=lambda item: last(item[0])):
        print(where)  # noqa: T201 - named in the report of a failure
        run(tiny(bound(list(words), place)))


def run_folder():
    """The names that the concepts page gives of a run folder."""
    (tree,) = blocks(ROOT / "docs" / "concepts.md")
    return re.findall(r"(?<!\()\b(?!run/)[\w.]+(?:/|\.\w+)", tree.text)


def last(words):
    """What changes the run folder comes late, runs with other settings last of all."""
    order = ("mine", "lint", "show", "run", "train", "eval", "merge", "try", "forget")
    return "--recipe" in words, order.index(words[0])
