from __future__ import annotations

import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from misstep.validate.code import unread
from misstep.validate.code_excerpt import excerpt
from misstep.validate.code_fences import fences
from misstep.validate.code_grammar import GRAMMARS
from misstep.validate.code_syntax import EXACT, LIMITS, check, known, language

LANGUAGES = sorted({*GRAMMARS, *EXACT, "yaml", "sql", "postgres"})
HOSTILE = [
    "(", "[", "{", "a(", "{x:", "[1,", "(lambda:", "not ", "-", "a+", "a.", "x=", "if x:\n", "<a>",
    "<<EOF\n", "$(", "a<", "'\"`", "- ", "? ", "&a ", "*a ", "SELECT (", "CASE WHEN a THEN ", "\\",
    "a:\n ", "f'{", "else ", "/*", "//\n", "```", "\x00", "\ud800", "é", "x if y else ",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", LANGUAGES)
def test_no_text_takes_long_or_crashes(name):
    for unit in HOSTILE:
        text = unit * (LIMITS.get(name, 30_000) // len(unit))
        start = time.process_time()
        check(name, text[: 100_000 if name == "json" else None])
        assert time.process_time() - start < 2, (name, unit)


@given(st.sampled_from(LANGUAGES), st.lists(st.sampled_from([*HOSTILE, "a", "\n", ")", "}", "]"])))
@settings(max_examples=200, deadline=None)
def test_any_text_has_an_outcome(name, parts):
    text = "".join(parts)
    got = check(name, text)
    assert got.snag is None or not got.unjudged
    if got.snag is not None:
        assert got.snag.line >= 1
        assert got.snag.column >= 1
        excerpt(name, text)


@given(st.text(alphabet="`~ \n>-ap1", max_size=80))
@settings(max_examples=300, deadline=None)
def test_fences_are_in_order_apart_and_only_the_last_is_open(text):
    found = list(fences(text))
    assert all(one.start < one.body_at or not one.closed for one in found)
    assert [one.start for one in found] == sorted(one.start for one in found)
    assert all(one.closed for one in found[:-1])


def test_a_hundred_thousand_fences_take_no_time():
    start = time.process_time()
    assert len(list(fences("```a\n" * 100_000))) == 1
    assert len(list(fences("```a\n```\n" * 50_000))) == 50_000
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("tag", "name"), [("py", "python"), ("JS", "javascript"), ("C++", "cpp"), ("yml", "yaml")]
)
def test_a_language_is_known_by_its_other_names(tag, name):
    assert language(tag) == name
    assert known(name)


def test_a_language_without_a_grammar_says_so():
    assert check("brainfuck", "+").unjudged == "no grammar for brainfuck"
    assert list(unread("```brainfuck\n+\n```")) == ["no grammar for brainfuck"]
    assert list(unread("```text\n+\n```")) == []


def test_a_text_that_is_too_long_is_not_judged():
    got = check("python", "x = (" * 50_000)
    assert got.snag is None
    assert got.unjudged == "longer than the 100,000 characters that python is judged to"


@pytest.mark.parametrize(
    "text", ["f'{a['b']}'", 'f"{x!r:^{"w"}}"', "type A = int", "def f[T](a: T): ...", "'\\d'"]
)
def test_syntax_of_another_python_is_no_failure(text):
    assert check("python", text).snag is None


def test_line_and_column_are_where_the_parser_stops():
    assert (check("python", "x = 1\ny = = 2").snag.line, check("toml", "a = 1\nb").snag.line) == (
        2,
        2,
    )
    snag = check("json", '{\n "é": 1,\n "b" 2}').snag
    assert (snag.line, snag.column) == (3, 6)


def test_without_the_extra_nothing_is_judged_and_what_to_install_is_said():
    code = (
        "import sys\n"
        "sys.modules['tree_sitter'] = sys.modules['sqlglot'] = None\n"
        "from misstep.validate.code_syntax import check\n"
        "print(check('bash', 'if then').unjudged)\n"
        "print(check('sql', 'SELEC').unjudged)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == [
        "bash is judged with the extra: pip install 'misstep[code]'",
        "sql is judged with the extra: pip install 'misstep[code]'",
    ]
