"""Where a step carries code: the answer itself, its fences, the arguments of its calls.

In: a step. Out: `Piece` values: a language, a text, its place, and whether somebody declared that
this is code of that language (`validate.code`, `validate.answer_code`, the schema's
`contentMediaType` or `format`, an interpreter's call) or whether it only follows from words: a
fence's tag, an argument called `code`, `script`, `query` or the like where the tool's name or
description names one language, a file's ending beside its contents.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from misstep.types import Channel, ToolCall
from misstep.validate.code_fences import Fence, fenced, fences
from misstep.validate.code_grammar import GRAMMARS
from misstep.validate.code_sql import DIALECTS
from misstep.validate.code_syntax import known, language
from misstep.validate.strict_json import escape, parse
from misstep.validate.validator import Step

Kind = Literal["answer", "fence", "argument", "file", "call"]

_NAMES = frozenset(
    (
        *("code", "source_code", "script", "source", "program", "snippet", "query", "sql"),
        *("command", "cmd", "statement", "expression", "python", "javascript", "bash", "cell"),
        *("python_code", "js_code", "javascript_code", "input_code", "code_snippet"),
        *("sql_query", "query_string", "bash_command", "shell_command", "python_script"),
    )
)
"""Names of arguments that hold code where their tool says of which language."""
_WORDS = {
    **{name: name for name in (*GRAMMARS, *DIALECTS) if name not in ("c", "go", "oracle", "hive")},
    **{"python": "python", "python3": "python", "shell": "bash", "ipython": "python"},
    **{"postgresql": "postgres", "js": "javascript", "yaml": "yaml", "toml": "toml"},
}
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_LIKE = re.compile(r"\b(?:no|\w+-?)sql\b[- ]like|\bsql[- ]like|\b(?:jql|kql|soql|graphql|nosql)\b")
_MEDIA = re.compile(r"(?:application|text)/(?:x-)?(?:vnd\.)?([a-z0-9+#]+)")
_MEDIA_NAMES = {"sh": "bash", "ecmascript": "javascript", "golang": "go", "csrc": "c", "plain": ""}
_PATHS = ("file_path", "path", "filename", "file_name", "filepath", "target_file", "file")
_CONTENTS = ("content", "contents", "file_text", "file_content", "code_content", "text")
_WRITES = re.compile(r"write|create|save|new_?file|str_replace_editor|edit_tool", re.I)
_ENDING = re.compile(r"\.([A-Za-z0-9]{1,4})$")
_LOOSE_JSON = re.compile(r"(?:^|[/\\])(?:tsconfig|jsconfig|\.?eslintrc|\.vscode|\.devcontainer|settings|launch|devcontainer)[^/\\]*(?:$|[/\\])")  # fmt: skip  # noqa: E501
_HARNESS = re.compile(r"\A\w+[^\n]*\n.*\nend_of_\w+\s*\Z", re.S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One text that is, or says that it is, code."""

    kind: Kind
    language: str
    text: str
    channel: Channel
    call: int | None = None
    where: str = ""
    """JSON pointer into the arguments."""
    at: int | None = None
    """Character offset in the channel; None where the text stands inside a JSON string."""
    declared: bool = False
    fence: Fence | None = None


def pieces(step: Step) -> Iterator[Piece]:
    """The code that a step carries, in the order of its channels."""
    if not step.withheld and step.parsed is None:
        yield from _in_text(step)
    for index, call in enumerate(step.calls):
        if call.syntax == "code":
            yield from _whole(call, index)
        elif call.syntax == "json" and call.kind != "hosted":
            yield from _in_arguments(step, index, call)


def carries(step: Step) -> bool:
    """A quick look: false only where the step carries no code."""
    if step.settings.answer_code or step.settings.code or fenced(step.text):
        return True
    for call in step.calls:
        if call.syntax == "code" or _writes(call.name) or _hints_of(step, call):
            return True
    return False


def declares(step: Step) -> bool:
    """A quick look: false only where nothing declares that the step carries code."""
    if step.settings.answer_code or step.settings.code:
        return True
    for call in step.calls:
        if call.syntax == "code":
            return True
        hints = _hints_of(step, call)
        if hints and any(sure for _, sure in hints.values()):
            return True
    return False


def _in_text(step: Step) -> Iterator[Piece]:
    wanted = language(step.settings.answer_code or "")
    made = {call.arguments.strip() for call in step.calls if call.syntax == "code"}
    found = [fence for fence in fences(step.text) if fence.body.strip() not in made]
    if wanted and not step.calls and not found:
        yield Piece(
            kind="answer", language=wanted, text=step.text, channel="content", at=0,
            declared=True,
        )  # fmt: skip
    for fence in found:
        tag = language(fence.tag)
        yield Piece(
            kind="fence", language=tag, text=fence.body, channel="content", at=fence.body_at,
            declared=tag != "" and tag == wanted, fence=fence,
        )  # fmt: skip


def _whole(call: ToolCall, index: int) -> Iterator[Piece]:
    """A call that is code by itself: an interpreter's, or a shell's block."""
    named = _named(call.name)
    name = named or ("python" if "code" in call.name.lower() else "")
    if name == "bash" and _HARNESS.search(call.arguments):
        return  # a harness's own block command
    if name and call.fault is None:
        yield Piece(
            kind="call", language=name, text=call.arguments, channel="arguments", call=index, at=0,
            declared=True,
        )  # fmt: skip


def _in_arguments(step: Step, index: int, call: ToolCall) -> Iterator[Piece]:
    hints = _hints_of(step, call)
    declared = step.settings.code
    if not hints and not declared and not _writes(call.name):
        return  # true of most tools
    parsed = step.arguments[index]
    value = parsed.value if parsed is not None and parsed.ok else None
    if not isinstance(value, dict):
        return
    for key, text in value.items():
        if not isinstance(text, str) or not text.strip():
            continue
        name, sure = hints.get(key, ("", False))
        if f"{call.name}.{key}" in declared:
            name, sure = declared[f"{call.name}.{key}"], True
        if not name and "" in hints and key.lower() in _NAMES:
            name = hints[""][0]  # the tool's name says it, and no schema says more
        if name:
            yield Piece(
                kind="argument", language=language(name), text=text, channel="arguments",
                call=index, where=f"/{escape(key)}", declared=sure,
            )  # fmt: skip
    yield from _file(call, index, value)


def _hints_of(step: Step, call: ToolCall) -> dict[str, tuple[str, bool]]:
    spec = step.tools.get(call.name) or step.guessed.get(call.name)
    if spec is None:
        return _hints(call.name, None, None)
    return _hints(call.name, spec.description, spec.parameters)


def _file(call: ToolCall, index: int, value: dict[str, Any]) -> Iterator[Piece]:
    """A whole file that is written: its ending names the language."""
    if not _writes(call.name) or value.get("command", "create") != "create":
        return
    path = next((value[key] for key in _PATHS if isinstance(value.get(key), str)), "")
    ending = _ENDING.search(path)
    held = next((key for key in _CONTENTS if isinstance(value.get(key), str)), None)
    if ending is None or held is None or not value[held].strip():
        return
    name = language(ending[1])
    if known(name) and not (name == "json" and _LOOSE_JSON.search(path)):
        yield Piece(
            kind="file", language=name, text=value[held], channel="arguments", call=index,
            where=f"/{escape(held)}",
        )  # fmt: skip


@lru_cache(maxsize=4096)
def _writes(tool: str) -> bool:
    return _WRITES.search(tool) is not None


@lru_cache(maxsize=4096)
def _named(words: str) -> str:
    """The one language that a name or a description names; empty where none or several."""
    lower = words.lower()
    if _LIKE.search(lower):
        return ""
    found = {_WORDS[word] for word in _WORD.findall(lower.replace("_", " ")) if word in _WORDS}
    if len(found) == 2 and "sql" in found:  # "a SQL query for SQLite"
        found.discard("sql")
    return found.pop() if len(found) == 1 else ""


@lru_cache(maxsize=4096)
def _hints(
    name: str, description: str | None, parameters: str | None
) -> dict[str, tuple[str, bool]]:
    """By argument: its language and whether the schema declares it; "" is what the name says.

    Empty where nothing of the tool says that it takes code.
    """
    by_name = _named(name)
    hints: dict[str, tuple[str, bool]] = {"": (by_name, False)} if by_name else {}
    schema = parse(parameters).value if parameters else None
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(schema, dict) or not isinstance(properties, dict):
        return hints
    checked = "draft-07" in str(schema.get("$schema"))  # JSON media types are part of that draft
    for key, part in properties.items():
        if not isinstance(part, dict):
            continue
        declared = _declared(part)
        if declared and not (declared == "json" and checked):
            hints[key] = (declared, True)
        elif key.lower() in _NAMES:
            told = _named(str(part.get("description") or "")) or _named(key)
            found = told or by_name or _named(description or "")
            if found:
                hints[key] = (found, False)
    return hints


def _declared(part: dict[str, Any]) -> str:
    """The language in `contentMediaType` or `format`; empty where there is none."""
    media = part.get("contentMediaType")
    found = _MEDIA.match(media) if isinstance(media, str) else None
    if found is not None and "contentEncoding" not in part:
        word = found[1]
        name = language(_MEDIA_NAMES.get(word, word))
        return name if known(name) else ""
    form = part.get("format")
    name = language(form) if isinstance(form, str) else ""
    return name if known(name) else ""
