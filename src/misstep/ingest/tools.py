"""The user's tools file, for logs that keep no schemas.

In: JSON or JSON lines: a list of tools in OpenAI or Anthropic spelling, `{"tools": […]}`, one tool,
or one tool a line; each with its contract (`contracts`), which holds for a logged tool of its name
too. Out: `ToolSpec` values with `source="given"`, each name once. A file that describes any tool
is the complete offer of a log that names none; one that only states contracts offers nothing.
BFCL's question files (or their folder) give tools and questions by question instead: see
`bfcl_questions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
from msgspec import UNSET
from msgspec.structs import replace

from misstep.contracts import contract_text, merged, object_of, off_limits_of
from misstep.errors import InputError
from misstep.ingest.context import spec_of
from misstep.ingest.format import Misfit
from misstep.ingest.harnesses.bfcl_questions import (
    DOCUMENTS,
    Task,
    asked,
    is_question,
    lines_of,
    tasks_of,
)
from misstep.ingest.listing import source_of, unlisted
from misstep.types import NOTHING, Context, Message, Session, ToolSpec

_EXPECTED = "expected a JSON list of tools (OpenAI or Anthropic spelling) or one tool a line"

_NAMED = {"name", "function", "custom", "toolSpec", "jsonrpc"}
"""A file that is one object has one of these, or it is no tool."""


class Questions(tuple[ToolSpec, ...]):
    """No tools that hold for every session, but tasks that hold for the sessions of their name."""

    tasks: Mapping[str, Task]

    def __bool__(self) -> bool:
        return True


def read_tools(path: Path) -> tuple[ToolSpec, ...]:
    """The tools of a file; `Questions` for a BFCL question file, or for a folder of them.

    Raises:
        InputError: the file is absent, is not JSON, or holds something that is no tool.
    """
    try:
        questions = _questions(path)
        data = b"" if questions is not None else path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {_EXPECTED}") from None
    if questions is not None:
        return questions
    tools: dict[str, ToolSpec] = {}
    limits = _limits(path, data)
    for index, value in enumerate(unlisted(_values(path, data))):
        try:
            contract = contract_text(value)
            source = source_of(value, vouched=contract is not None)
            spec = replace(spec_of(value), source=source, contract=contract)
        except (Misfit, ValueError) as error:
            said = error.said if isinstance(error, Misfit) else str(error)
            raise InputError(f"{path}: tool {index}: {said}; {_EXPECTED}") from None
        known = tools.get(spec.name)
        tools[spec.name] = spec if known is None else _twice(known, spec)
    if not tools:
        raise InputError(f"{path}: holds no tool; {_EXPECTED}")
    return tuple(_with(spec, limits) for spec in tools.values())


def _questions(path: Path) -> Questions | None:
    """The tasks of BFCL's question files, with the function documents beside them."""
    folder = path if path.is_dir() else path.parent
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    values = [value for file in files for value in _question_lines(file)]
    if not values and not path.is_dir():
        return None
    documents = {}
    for name in DOCUMENTS.values():
        document = folder / "multi_turn_func_doc" / f"{name}.json"
        if document.is_file():
            documents[name] = _lines(document, document.read_bytes(), "not JSON lines")
    try:
        found = Questions()
        found.tasks = dict(tasks_of(values, documents))
    except Misfit as misfit:
        raise InputError(f"{path}: {misfit.pointer}: {misfit.said}; {_EXPECTED}") from None
    if not found.tasks:
        raise InputError(f"{path}: a folder without BFCL question files; {_EXPECTED}")
    return found


def _question_lines(file: Path) -> Iterator[Any]:
    """The lines of a file whose first line is a question."""
    data = file.read_bytes()
    if b'"question"' not in data.split(b"\n", 1)[0]:
        return
    try:
        lines = lines_of(data)
    except orjson.JSONDecodeError:
        return
    if lines and is_question(lines[0]):
        yield from lines


def _limits(path: Path, data: bytes) -> dict[str, Any]:
    """What the head of the file says of all its tools."""
    if b'"off_limits"' not in data:
        return {}
    try:
        whole = orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
        told = whole.get("off_limits") if isinstance(whole, dict) else None
        return {} if told is None else {"off_limits": off_limits_of(told)}
    except orjson.JSONDecodeError:
        return {}
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def _with(spec: ToolSpec, more: Mapping[str, Any]) -> ToolSpec:
    """The tool with more in its contract."""
    return replace(spec, contract=merged(spec.contract, more))


def _twice(first: ToolSpec, second: ToolSpec) -> ToolSpec:
    """A name that stands twice: schema and contract make one tool; of equals the first holds."""
    whole, other = (second, first) if _states(first) else (first, second)
    if _states(whole) or not _states(other):
        return first
    vouched = whole.source == "inferred" and other.contract is not None
    return replace(
        whole,
        contract=merged(other.contract, object_of(whole.contract)),
        source="filled" if vouched else whole.source,
    )


def _offers(tools: Sequence[ToolSpec]) -> bool:
    """Whether any entry is more than a contract; a bare name is a tool without arguments."""
    return any(not _states(tool) or tool.contract is None for tool in tools)


def _states(spec: ToolSpec) -> bool:
    """Whether an entry says nothing of the tool as it is offered, so at most its contract."""
    return spec.parameters is None and spec.description is None


def _values(path: Path, data: bytes) -> Iterable[Any]:
    try:
        whole = orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        return _lines(path, data, str(error))
    tools = whole.get("tools") if isinstance(whole, dict) else None
    if isinstance(tools, dict):
        return [_named(name, entry) for name, entry in tools.items()]
    if isinstance(tools, list):
        return tools
    if isinstance(whole, dict) and not _NAMED & whole.keys():  # a schema, not a hosted tool's type
        raise InputError(f"{path}: tool 0: tool: no name; {_EXPECTED}")
    return whole if isinstance(whole, list) else [whole]


def _named(name: str, entry: Any) -> Any:
    """A tool of a file that lists them by name, with its schema as `schema`."""
    if not isinstance(entry, dict):
        return entry
    schema = entry.get("schema")
    return {"name": name} | ({} if schema is None else {"parameters": schema}) | entry


def _lines(path: Path, data: bytes, said: str) -> list[Any]:
    try:
        return [orjson.loads(line) for line in data.splitlines() if line.strip()]
    except orjson.JSONDecodeError:
        raise InputError(f"{path}: not JSON ({said}); {_EXPECTED}") from None


def with_tools(
    sessions: Sequence[Session], tools: Sequence[ToolSpec], keeps_tools: bool
) -> Sequence[Session]:
    """The sessions with `tools` where their log kept no schemas.

    A step without a known request gets the tools; a logged tool without parameters gets those of
    its namesake, and every logged tool its namesake's contract. Where the format keeps tools, a
    request that offered none stays so. Of tools that are no offer (`offering`) every request gets
    the contracts alone.
    """
    if not tools:
        return sessions
    if isinstance(tools, Questions):
        known = ((session, tools.tasks.get(session.family)) for session in sessions)
        return [session if task is None else asked(session, task) for session, task in known]
    return [_filled(session, tuple(tools), keeps_tools) for session in sessions]


def offering(context: Context, tools: Sequence[ToolSpec]) -> Context:
    """The request with these tools as its offer, or with their contracts if they state no more."""
    if _offers(tools):
        return replace(context, tools=tuple(tools))
    named = {tool.name for tool in context.tools}
    told = (tool for tool in tools if tool.contract is not None and tool.name not in named)
    return replace(context, promises=tuple(told) or UNSET)


def _filled(session: Session, tools: tuple[ToolSpec, ...], keeps_tools: bool) -> Session:
    contexts = [_fill(context, tools, keeps_tools) for context in session.contexts]
    bare = [m for m in session.messages if m.role == "assistant" and m.context is None]
    given = offering(NOTHING, tools)
    if not bare or given == NOTHING:
        return replace(session, contexts=tuple(contexts))
    if given not in contexts:
        contexts.append(given)
    at = contexts.index(given)

    def place(message: Message) -> Message:
        known = message.role != "assistant" or message.context is not None
        return message if known else replace(message, context=at)

    return replace(
        session, contexts=tuple(contexts), messages=tuple(place(m) for m in session.messages)
    )


def _fill(context: Context, tools: tuple[ToolSpec, ...], keeps_tools: bool) -> Context:
    offer = _offers(tools)
    if offer and not context.tools:
        return context if keeps_tools else offering(context, tools)
    given = {tool.name: tool for tool in tools}
    filled = tuple(_joined(tool, given.get(tool.name)) for tool in context.tools)
    context = context if filled == context.tools else replace(context, tools=filled)
    return context if offer else offering(context, tools)


@lru_cache(maxsize=4096)
def _joined(logged: ToolSpec, given: ToolSpec | None) -> ToolSpec:
    """What the log says of a tool, and behind it what the file says."""
    if given is None:
        return logged
    if logged.parameters is None and given.parameters is not None:
        return _whole(given)
    contract = merged(logged.contract, object_of(given.contract))
    if logged.parameters is None:
        said = logged.description or given.description
        return replace(logged, description=said, contract=contract, source="given")
    if given.source == "given" and given.parameters not in (None, logged.parameters):
        contract = merged(contract, {"parameters": object_of(given.parameters)})
    return logged if contract == logged.contract else replace(logged, contract=contract)


def _whole(given: ToolSpec) -> ToolSpec:
    """The tool of the file in the place of a logged name without a schema."""
    return replace(given, source="filled") if given.source == "inferred" else given
