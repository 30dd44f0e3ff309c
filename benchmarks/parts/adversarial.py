"""Outputs and schemas built to be slow: each judged as a logged step, in under a second, no crash.

A row per case: CPU seconds of `validate` over a session with one such step (after the imports and
the first use of each grammar), and the codes found. Each case runs in a process of its own, so that
a crash is a row and not an end. Ratio: the slowest case's share of the second, bigger is better.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import string
import time
from collections.abc import Callable
from typing import Any

from misstep.types import Context, Message, Part, Session, ToolCall, ToolResult, ToolSpec
from misstep.validate import Settings, validate

LIMIT = 1.0
"""Seconds that any of them may take."""
MB = 1_000_000


def run(quick: bool) -> dict[str, Any]:
    """Every case, whatever `quick` says; half a minute."""
    rows = [_row(name) for name in CASES]
    slowest = max(row["seconds"] for row in rows)
    return {"rows": rows, "ratios": {"adversarial_second_over_slowest": LIMIT / slowest}}


def _row(name: str) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(name, there))
    process.start()
    there.close()
    try:
        seconds, codes = here.recv() if here.poll(60) else (60.0, ["timeout"])
    except EOFError:
        seconds, codes = 60.0, ["crash"]
    process.kill()
    process.join()
    return {
        "arm": "misstep",
        "work": name,
        "n": 1,
        "seconds": round(seconds, 3),
        "codes": codes,
        "ok": seconds < LIMIT,
    }


def _measure(name: str, out: Any) -> None:
    validate(text("```python\nx\n```\n```bash\nx\n```"), Settings())
    session = CASES[name]()
    start = time.process_time()
    found = validate(session, Settings()).findings
    seconds = time.process_time() - start
    out.send((seconds, sorted({f"{f.code}:{f.level}" for f in found})))


def session(answer: Message, context: Context = Context()) -> Session:  # noqa: B008  frozen
    """A session of one question and one answer."""
    asked = Message(role="user", parts=(Part(kind="text", text="go on"),))
    return Session(id="case", format="case", messages=(asked, answer), contexts=(context,))


def text(content: str, **context: Any) -> Session:
    """A session whose answer is a text."""
    parts = (Part(kind="text", text=content),)
    answer = Message(role="assistant", parts=parts, context=0, finish_reason="stop")
    return session(answer, Context(**context))


def call(arguments: str, schema: Any = None, name: str = "f") -> Session:
    """A session whose answer is one call."""
    made = ToolCall(name=name, arguments=arguments, id="c")
    answer = Message(
        role="assistant",
        parts=(Part(kind="call", call=made),),
        context=0,
        finish_reason="tool_calls",
    )
    tool = ToolSpec(name=name, parameters=None if schema is None else json.dumps(schema))
    return session(answer, Context(tools=(tool,)))


def many(count: int, *, arguments: str = '{"a": 1}', result: str = "the same") -> Session:
    """A session of many steps with one call each; `#` in either text is the step's number."""
    messages = [Message(role="user", parts=(Part(kind="text", text="go on"),))]
    for at in range(count):
        made = ToolCall(name="f", arguments=arguments.replace("#", str(at)), id=f"c{at}")
        back = ToolResult(text=result.replace("#", str(at)), call_id=f"c{at}")
        messages.append(Message(role="assistant", parts=(Part(kind="call", call=made),), context=0))
        messages.append(Message(role="tool", parts=(Part(kind="result", result=back),)))
    return Session(id="case", format="case", messages=tuple(messages), contexts=(Context(),))


def parallel(count: int, arguments: str) -> Session:
    """A session whose answer makes many calls at once."""
    calls = (
        ToolCall(name="f", arguments=arguments.replace("#", str(at)), index=at, id=f"c{at}")
        for at in range(count)
    )
    parts = tuple(Part(kind="call", call=call) for call in calls)
    return session(Message(role="assistant", parts=parts, context=0, finish_reason="tool_calls"))


def monologue(count: int, said: str) -> Session:
    """A session of many texts without a call or a human between them."""
    messages = [Message(role="user", parts=(Part(kind="text", text="go on"),))]
    messages += [
        Message(role="assistant", parts=(Part(kind="text", text=said.replace("#", str(at))),))
        for at in range(count)
    ]
    return Session(id="case", format="case", messages=tuple(messages), contexts=(Context(),))


def _noise(size: int, seed: int = 0) -> str:
    return "".join(random.Random(seed).choices(string.ascii_letters + "  \n", k=size))


def _chain(length: int) -> dict[str, Any]:
    links: dict[str, Any] = {f"a{i}": {"$ref": f"#/$defs/a{i + 1}"} for i in range(length)}
    return {"$ref": "#/$defs/a0", "$defs": links | {f"a{length}": {"type": "object"}}}


def _doubling(levels: int) -> dict[str, Any]:
    links: dict[str, Any] = {
        f"a{i}": {"anyOf": [{"$ref": f"#/$defs/a{i + 1}"}] * 2} for i in range(levels)
    }
    return {"$ref": "#/$defs/a0", "$defs": links | {f"a{levels}": {"required": ["z"]}}}


def _branches() -> dict[str, Any]:
    inner = {"properties": {"c": {"$ref": "#/$defs/a"}}}
    branches = [inner | {"required": ["x"]}, inner | {"required": ["y"]}]
    return {"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": branches}}}


RECURSIVE = {
    "$ref": "#/$defs/n",
    "$defs": {"n": {"type": "object", "properties": {"c": {"$ref": "#/$defs/n"}}}},
}
PATTERNS = (
    "^(a+)+$",
    "^(a|aa)+$",
    "^(([a-z])+.)+[A-Z]([a-z])+$",
    "^(?=(a+)+b)(a+)+$",
    "([a-zA-Z]+)*\\1b",
    "^(?:a?){1000}a{1000}$",
    "(x+x+)+y",
)


def _pattern(pattern: str) -> Session:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}}
    return call(json.dumps({"a": "a" * 100_000 + "!"}), schema)


CASES: dict[str, Callable[[], Session]] = {
    **{
        f"10 MB of {char!r}": lambda char=char: text(char * 10 * MB)
        for char in ("a", " ", "\n", "{", '"', "`", "<", "é")
    },
    "10 MB of one character as JSON": lambda: text("a" * 10 * MB, json_mode=True),
    "10 MB of { as JSON": lambda: text("{" * 10 * MB, json_mode=True),
    "10 MB of backticks as JSON": lambda: text("`" * 10 * MB, json_mode=True),
    "10 MB in one JSON string": lambda: text(json.dumps({"a": "b" * 10 * MB}), json_mode=True),
    "10 MB in one argument of another type": lambda: call(
        json.dumps({"a": "b" * 10 * MB}),
        {"type": "object", "properties": {"a": {"type": "integer", "enum": [1]}}},
    ),
    "1 MB of period 4,095": lambda: text((_noise(4_095) * 250)[:MB]),
    "1 MB of period 4,097": lambda: text((_noise(4_097) * 250)[:MB]),
    "1 MB that almost repeats": lambda: text(
        "".join(_noise(4_094) + chr(97 + at % 26) for at in range(245))
    ),
    "1 MB of a(ba)^n": lambda: text("a" + "ba" * (MB // 2)),
    "1 MB of Fibonacci words": lambda: text(_fibonacci(MB)),
    "1 MB of random letters": lambda: text(_noise(MB)),
    "1 MB of numbered lines": lambda: text("".join(f"{at}. go on\n" for at in range(90_000))),
    "100,000 fences": lambda: text("```python\nx = (\n" * 60_000),
    "40 blocks that take long": lambda: text(
        "".join(f"```bash\n{at} " + "<a>" * 2_600 + "\n```\n" for at in range(40))
    ),
    "a block of mixed quotes": lambda: text("```js\n" + "f'{" * 9_000 + "\n```\n"),
    "a block of broken CSS": lambda: text("```css\n" + "a:\n " * 4_900 + "\n```\n"),
    "a block of deep HTML": lambda: text("```html\n" + "<a>" * 6_600 + "\n```\n"),
    "a block of deep Python": lambda: text("```python\n" + "(" * 90_000 + "\n```\n"),
    "a block of long Python": lambda: text("```python\n" + "x = 1\n" * 16_000 + "y = (\n```\n"),
    "a block of deep YAML": lambda: text("```yaml\n" + "[" * 90_000 + "\n```\n"),
    "a block of deep TOML": lambda: text("```toml\na = " + "[" * 30_000 + "\n```\n"),
    "a block of deep SQL": lambda: text("```sql\nSELECT " + "(" * 5_000 + "\n```\n"),
    "a block of long SQL": lambda: text("```sql\nSELECT " + "a < " * 1_400 + "\n```\n"),
    "100,000 call openers": lambda: text("<tool_call>{" * 100_000),
    "1 MB of call openers of a tool": lambda: text(
        '<tool_call>{"name": "f", "arguments": {' * 25_000, tools=(ToolSpec(name="f"),)
    ),
    "1 MB of <invoke": lambda: text('<invoke name="f">' * 60_000, tools=(ToolSpec(name="f"),)),
    "1 MB of f(": lambda: text("f(" * 500_000, tools=(ToolSpec(name="f"),)),
    "a chain of 5,000 $ref": lambda: call('{"a": 1}', _chain(5_000)),
    "5,000 levels through $ref": lambda: call('{"c":' * 5_000 + "{}" + "}" * 5_000, RECURSIVE),
    "190 levels through $ref": lambda: call('{"c":' * 190 + "1" + "}" * 190, RECURSIVE),
    "$ref to itself": lambda: call("{}", {"$ref": "#"}),
    "a schema that doubles 15 times": lambda: call("{}", _doubling(15)),
    "a schema that doubles 90 times": lambda: call("{}", _doubling(90)),
    "branches that double 100 times": lambda: call('{"c":' * 100 + "{}" + "}" * 100, _branches()),
    "100,000 wrong items": lambda: call(
        json.dumps({"a": ["x"] * 100_000}),
        {"type": "object", "properties": {"a": {"items": {"type": "integer"}}}},
    ),
    "2,000 items of 100 branches": lambda: call(
        json.dumps({"a": [{}] * 2_000}),
        {
            "type": "object",
            "properties": {
                "a": {"items": {"anyOf": [{"required": [f"k{i}"]} for i in range(100)]}}
            },
        },
    ),
    "100,000 equal items": lambda: call(
        json.dumps({"a": [{"name": "the same"}] * 100_000}),
        {"type": "object", "properties": {"a": {"uniqueItems": True}}},
    ),
    "an enum of 100,000 and a value of 1 MB": lambda: call(
        json.dumps({"a": "b" * MB}),
        {"type": "object", "properties": {"a": {"enum": [f"v{i}" for i in range(100_000)]}}},
    ),
    **{f"pattern {pattern}": lambda pattern=pattern: _pattern(pattern) for pattern in PATTERNS},
    "100,000 objects that tell nothing": lambda: text(
        json.dumps([{"a": at} for at in range(100_000)]), json_mode=True
    ),
    "20,000 lists in a list": lambda: text(json.dumps([[at] * 3 for at in range(20_000)])),
    "1,000 steps that repeat one call": lambda: many(1_000),
    "1,000 steps with calls that differ": lambda: many(
        1_000, arguments='{"path": "src/file#.py", "id": "ab-#77"}', result="content # of it"
    ),
    "1,000 steps that fail alike": lambda: many(1_000, result="Error: no such file #"),
    "300 steps with results of 10 kB": lambda: many(
        300, arguments='{"order_id": "W#4411"}', result=_noise(10_000) + "#"
    ),
    "1,000 parallel calls that are equal": lambda: parallel(1_000, '{"a": "the same text"}'),
    "1,000 parallel calls that differ": lambda: parallel(1_000, '{"a": "the text #"}'),
    "1,000 texts without a call": lambda: monologue(1_000, "I will look at file # now. " * 9),
}
"""What is judged, by its description."""


def _fibonacci(size: int) -> str:
    a, b = "a", "ab"
    while len(b) < size:
        a, b = b, b + a
    return b[:size]
