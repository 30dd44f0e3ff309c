"""Writes cli.md, config.md, ../schemas/config.json and the tables of ../README.md.

    python docs/generate.py

In: the click commands, the settings dataclasses, the formats and codes. Out: the files. A test
compares.
"""

from __future__ import annotations

import ast
import collections.abc
import dataclasses
import inspect
import itertools
import json
import re
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from misstep import config
from misstep.cli import COMMANDS, main
from misstep.codes import CODES
from misstep.ingest import FORMATS, WRAPPERS

HERE = Path(__file__).parent

FAMILIES = {
    "provider traffic": "openai-chat openai-responses anthropic-messages gemini bedrock-converse"
    " har vcr",
    "coding agents": "claude-code claude-stream codex codex-exec gemini-cli qwen-code opencode"
    " goose cline aider pi",
    "observability": "otel-genai openllmetry openinference langfuse langsmith langchain litellm"
    " mlflow weave helicone openai-agents",
    "harnesses": "inspect-ai swe-agent mini-swe-agent openhands tau-bench tau2-bench bfcl toolbench"
    " agentbench atif smolagents autogen google-adk mcp",
    "data sets": "chat-rows sharegpt hermes toolace xlam preference",
    "pages": "imagefolder page-table page-pairs pdf-pages",
}
"""The rows of README's table of formats; what stands in none of them comes last."""
GROUPS = {
    "text-loop": "text loops",
    "agent-loop": "agent loops",
    "json": "JSON",
    "tool-call": "tool calls and structured answers",
    "silent": "silent failures",
    "code": "code",
    "provenance": "where values and calls come from",
    "own": "your validators",
}
"""The rows of README's table of failure codes."""


def cli_page() -> str:
    """The help of every command."""
    parts = ["# Command line", "", "Made by `python docs/generate.py`."]
    for name in COMMANDS:
        command = main.get_command(click.Context(main), name)
        parent = click.Context(main, info_name="misstep", **main.context_settings)
        context = click.Context(command, parent=parent, info_name=name, max_content_width=90)
        parts += ["", f"## misstep {name}", "", "```text", command.get_help(context), "```"]
    return "\n".join(parts) + "\n"


def config_page() -> str:
    """Every setting with its default."""
    parts = [
        "# Settings",
        "",
        "Made by `python docs/generate.py`. `--config x.yaml` holds these keys, `--set KEY=VALUE`",
        "and flags override it, unknown keys are an error. The resolved settings of a run are in",
        "its `config.yaml`. Training options keep TRL's spelling.",
        "",
        "| key | default | meaning |",
        "|---|---|---|",
    ]
    parts += [f"| `{key}` | `{default}` | {meaning} |" for key, default, meaning in settings()]
    return "\n".join(parts) + "\n"


def formats_table() -> str:
    """Every format, family by family."""
    names = [known.name for known in (*FORMATS, *WRAPPERS)]
    rows = {family: [n for n in said.split() if n in names] for family, said in FAMILIES.items()}
    placed = {name for row in rows.values() for name in row}
    rows["others"] = [name for name in names if name not in placed]
    return _table((family, _ticked(row)) for family, row in rows.items() if row)


def codes_table() -> str:
    """Every failure code by group; suspects and notes stand apart."""
    rows = []
    for group, title in GROUPS.items():
        by_level = {
            level: [c.name for c in CODES.values() if c.group == group and c.level == level]
            for level in ("defect", "suspect", "info")
        }
        said = [_ticked(by_level["defect"])]
        said += [f"*{lv}* {_ticked(by_level[lv])}" for lv in ("suspect", "info") if by_level[lv]]
        rows.append((title, " · ".join(filter(None, said))))
    return _table(rows)


def readme(text: str) -> str:
    """README with its tables as they should be."""
    for name, table in (("formats", formats_table()), ("codes", codes_table())):
        text = re.sub(
            rf"(<!-- table: {name} -->\n).*?(<!-- end -->)",
            lambda found, table=table: f"{found[1]}{table}{found[2]}",
            text,
            flags=re.DOTALL,
        )
    return text


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return "\n".join(["", "| | |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows), "", ""])


def _ticked(names: Iterable[str]) -> str:
    return " ".join(f"`{name}`" for name in names)


def settings() -> Iterator[tuple[str, str, str]]:
    """(dotted key, default, meaning) of every setting."""
    yield from _section(config.RunConfig, "")


def _section(kind: type, prefix: str) -> Iterator[tuple[str, str, str]]:
    meanings = _meanings(kind)
    value = kind()
    for field in dataclasses.fields(kind):
        got = getattr(value, field.name)
        if dataclasses.is_dataclass(got):
            yield from _section(type(got), f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", _spell(got), meanings.get(field.name, "as in TRL")


def config_schema() -> str:
    """JSON Schema of a settings file, for editors."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings of a misstep run (config.yaml)",
        **_schema_of(config.RunConfig),
    }
    return json.dumps(schema, indent=2) + "\n"


def _schema_of(kind: type) -> dict[str, Any]:
    hints, meanings = typing.get_type_hints(kind), _meanings(kind)
    properties = {
        name: _schema_of(hint)
        if dataclasses.is_dataclass(hint)
        else {**_type(hint), "description": meanings.get(name, "as in TRL")}
        for name, hint in hints.items()
    }
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _type(hint: Any) -> dict[str, Any]:
    args = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Literal:
        return {"enum": list(args)}
    if typing.get_origin(hint) is tuple:
        return {"type": "array", "items": _type(args[0])}
    if typing.get_origin(hint) is collections.abc.Mapping:
        return {"type": "object", "additionalProperties": _type(args[1])}
    if args:  # X | None
        return {"type": [_type(arg)["type"] for arg in args]}
    names = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
    return {"type": names[hint]}


def _spell(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return str(value)


def _meanings(kind: type) -> dict[str, str]:
    """The docstring behind each field."""
    body = ast.parse(inspect.getsource(kind)).body[0].body
    return {
        first.target.id: " ".join(second.value.value.split())
        for first, second in itertools.pairwise(body)
        if isinstance(first, ast.AnnAssign)
        and isinstance(second, ast.Expr)
        and isinstance(second.value, ast.Constant)
    }


if __name__ == "__main__":
    (HERE / "cli.md").write_text(cli_page(), encoding="utf-8")
    (HERE / "config.md").write_text(config_page(), encoding="utf-8")
    schema = HERE.parent / "schemas" / "config.json"
    schema.write_text(config_schema(), encoding="utf-8")
    front = HERE.parent / "README.md"
    front.write_text(readme(front.read_text(encoding="utf-8")), encoding="utf-8")
