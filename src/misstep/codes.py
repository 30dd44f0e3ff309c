"""The failure codes: one table, read by validators, miner, evaluation, report and documentation.

`level` is the level that the code usually has; a validator may lower it for one finding.
`offline` says whether replaying one step without its environment can show the failure again;
the others stand outside the before/after total. Definitions follow `docs/codes.md`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from misstep.types import Level

Group = Literal["text-loop", "agent-loop", "json", "tool-call", "silent", "provenance", "code"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """One failure code."""

    name: str
    group: str
    """A `Group`, or a word of the user's own."""
    meaning: str
    level: Level = "defect"
    offline: bool = True


def _group(group: Group, offline: bool, *rows: tuple[str, Level, str]) -> tuple[Code, ...]:
    return tuple(
        Code(name=name, group=group, meaning=meaning, level=level, offline=offline)
        for name, level, meaning in rows
    )


_ALL = (
    *_group(
        "text-loop",
        True,
        ("REP_LOOP", "defect", "one unit of text repeated exactly, four times or more"),
        ("REP_WHITESPACE", "defect", "a flood of white space at the end or inside a JSON gap"),
        ("REP_DRIFT", "defect", "a repeated unit in which only numbers, ids or dates change"),
        ("REP_ELEMENT", "defect", "the same list element or parallel call again and again"),
        ("REP_NEAR", "suspect", "long text that repeats itself with small changes"),
    ),
    *_group(
        "agent-loop",
        False,
        ("LOOP_SAME_CALL", "defect", "the same call with the same result, again and again"),
        ("LOOP_CYCLE", "defect", "a block of two to six steps goes round with the same results"),
        ("LOOP_ERROR", "defect", "the same tool fails with the same error three times in a row"),
        ("LOOP_MONOLOGUE", "defect", "answer after answer without a call or a reply between"),
        ("LOOP_NEAR_CALL", "suspect", "nearly the same call with the same result, six times"),
        ("LIMIT_STEPS", "info", "the log says that a cap on steps or cost ended the session"),
    ),
    *_group(
        "json",
        True,
        ("JSON_EMPTY", "defect", "JSON was expected and the text is empty"),
        ("JSON_TRUNCATED", "defect", "the JSON text stops before it is complete"),
        ("JSON_FENCED", "defect", "the JSON stands inside a code fence that is the whole text"),
        ("JSON_FENCED_PROSE", "defect", "fenced JSON with other text around it"),
        ("JSON_PROSE", "defect", "JSON with other text before or after it"),
        ("JSON_EXTRA_DATA", "defect", "a second value follows the first"),
        ("JSON_TRAILING_COMMA", "defect", "a comma before a closing bracket"),
        ("JSON_QUOTES", "defect", "single quotes or keys without quotes"),
        ("JSON_PY_LITERAL", "defect", "True, False or None in place of true, false or null"),
        ("JSON_CONTROL_CHAR", "defect", "a raw control character inside a string"),
        ("JSON_NONFINITE", "defect", "NaN, Infinity or a number too large for a double"),
        ("JSON_DUP_KEY", "defect", "the same key twice in one object"),
        ("JSON_BIGINT_LOSS", "info", "an integer that a double cannot hold exactly"),
        ("JSON_ENCODING", "defect", "a lone surrogate or a broken escape"),
        ("JSON_SYNTAX", "defect", "any other syntax error"),
        ("JSON_NOT_FOUND", "defect", "JSON was expected and the text holds none"),
    ),
    *_group(
        "tool-call",
        True,
        ("TOOL_UNKNOWN", "defect", "the called tool was not offered"),
        ("ARGS_UNPARSABLE", "defect", "the arguments are not JSON"),
        ("ARGS_NOT_OBJECT", "defect", "the arguments are JSON but not an object"),
        ("MISSING_REQUIRED", "defect", "a required property is missing"),
        ("UNEXPECTED_ARG", "defect", "a property that the schema does not allow"),
        ("WRONG_TYPE", "defect", "a value of another type than the schema asks for"),
        ("ENUM", "defect", "a value outside the allowed ones"),
        ("FORMAT", "defect", "a string that breaks its format or pattern"),
        ("RANGE", "defect", "a number, length or count outside its bounds"),
        ("SCHEMA_COMBO", "defect", "no branch of anyOf, oneOf, not or if fits"),
        ("TOOL_SCHEMA_INVALID", "info", "the tool's schema cannot be used; not the model's fault"),
        ("NO_CALL", "defect", "plain text where a tool call was demanded"),
    ),
    *_group(
        "tool-call",
        False,
        ("TOOL_ERROR", "defect", "the tool answered with an error"),
    ),
    *_group(
        "silent",
        True,
        ("TRUNCATED", "defect", "the answer was cut by the token limit"),
        ("EMPTY_OUTPUT", "defect", "no text, no call and no refusal"),
        ("TOOL_AS_TEXT", "defect", "a tool call written as plain text"),
        ("TOKEN_LEAK", "suspect", "a control token of the chat template in the output"),
    ),
    *_group(
        "silent",
        False,
        ("ENV_ERROR", "info", "a failure of the environment; it never trains the model"),
    ),
    *_group(
        "code",
        True,
        ("CODE_SYNTAX", "suspect", "code that its language's parser does not read"),
        ("FENCE_UNCLOSED", "suspect", "a code fence that is never closed"),
    ),
    *_group(
        "provenance",
        True,
        ("HALLUCINATED_ARG", "suspect", "an id, address or date that nothing had supplied"),
        ("FAILED_VALUE_USED", "suspect", "a value that only another tool's failure supplied"),
        ("DUP_SIDE_EFFECT", "suspect", "a call that changes the world, made again after success"),
        ("PRECONDITION", "defect", "a call before the one that its contract requires"),
        ("OFF_LIMITS", "defect", "a call asks for a source that the contract rules out"),
    ),
    *_group(
        "provenance",
        False,
        ("REDUNDANT_CALL", "info", "the same look with the same result, nothing between"),
        ("UNRESOLVED_EFFECT", "info", "a side effect of which no success was ever seen"),
        ("RESULT_CONTRACT", "info", "a result that breaks its output schema; not the model's"),
        ("CONTRACT_DRIFT", "info", "the schema in the log is not that of the tools file"),
    ),
)

_FAULT = Code(
    name="VALIDATOR_ERROR",
    group="own",
    meaning="a validator of the user's own failed on this step; its error, not the model's",
    level="info",
)

CODES: dict[str, Code] = {code.name: code for code in (*_ALL, _FAULT)}
"""Every code: ours, and those that the validators of this run's user declare (`register`)."""
OURS = frozenset(CODES)
"""Names of our own codes; no declared one may take one of them."""


def register(declared: Iterable[Code]) -> None:
    """Make the codes of a user's validators known to this process; the last declaration holds."""
    CODES.update((code.name, code) for code in declared if code.name not in OURS)
