"""Property tests on sessions that are wilder than any log: broken text, broken schemas, both."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from misstep.types import (
    Context,
    Message,
    Part,
    Session,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
)
from misstep.validate import Settings, judge, validate
from misstep.validate.schema import breaches, compiled, undeclared

quick = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))

values = st.recursive(
    st.sampled_from([None, True, 0, -1, 1.5, 1e308, 2**70, "", "a", "1", "Oslo", "object"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["a", "b", "a/b", "~", "é"]), inner, max_size=3)
    ),
    max_leaves=12,
)
KEYWORDS = (  # noqa: SIM905
    "type properties required items anyOf oneOf allOf not enum const $ref $defs pattern format "
    "minimum maxLength uniqueItems additionalProperties if then prefixItems nullable $schema "
    "contains propertyNames unevaluatedProperties dependentRequired minItems $id $dynamicRef"
).split()
words = st.sampled_from(
    ["string", "dict", "ANY", "object", "#", "#/$defs/a", "#/properties/a", "http://x.invalid/y",
     "^(a|aa)+$(?!x)", "date", "(", "a", "float", "urn:a:b"]
)  # fmt: skip
schemas = st.recursive(
    words | st.booleans() | st.integers(-2, 3) | st.none() | st.lists(words, max_size=3),
    lambda inner: (
        st.dictionaries(st.sampled_from([*KEYWORDS, "a", "b"]), inner, max_size=4)
        | st.lists(inner, max_size=3)
    ),
    max_leaves=14,
)
ODD = st.sampled_from(
    ["\ud800", '{"a": 1', "```json\n{", "<tool_call>", '{"name": "f"}', "Error: no", " " * 400,
     "ab" * 300, "[" * 600, '{"error": "x"}', "<|im_end|>", "\x00", "é" * 320, "1. go on\n" * 90]
)  # fmt: skip
texts = (
    ODD
    | st.text(max_size=20)
    | st.lists(ODD, max_size=3).map("".join)
    | values.map(lambda v: json.dumps(v, ensure_ascii=False))
)
names = st.sampled_from(["f", "g", "F", "f.g", "", "bash", "get_status", "f<|x|>"])
ids = st.sampled_from([None, "1", "2"])
parts = st.one_of(
    st.builds(Part, kind=st.sampled_from(["text", "reasoning", "image"]), text=texts | st.none()),
    st.builds(
        Part,
        kind=st.just("call"),
        call=st.builds(
            ToolCall,
            name=names,
            arguments=texts,
            id=ids,
            kind=st.sampled_from(["function", "custom", "hosted"]),
            syntax=st.sampled_from(["json", "code", "text"]),
        ),
    ),
    st.builds(
        Part,
        kind=st.just("result"),
        result=st.builds(
            ToolResult,
            text=texts,
            call_id=ids,
            name=names | st.none(),
            is_error=st.sampled_from([None, True, False]),
            hint=st.none() | texts,
        ),
    ),
)
messages = st.builds(
    Message,
    role=st.sampled_from(["user", "assistant", "assistant", "tool", "system"]),
    parts=st.lists(parts, max_size=4).map(tuple),
    actor=st.sampled_from([None, "human", "harness"]),
    context=st.sampled_from([None, 0]),
    finish_reason=st.sampled_from([None, "stop", "length", "refusal", "MALFORMED_FUNCTION_CALL"]),
    end=st.sampled_from(["complete", "cut"]),
    error=st.none() | texts,
    usage=st.none() | st.builds(Usage, output_tokens=st.integers(0, 9)),
)
contexts = st.builds(
    Context,
    tools=st.lists(
        st.builds(
            ToolSpec,
            name=names,
            parameters=st.none() | schemas.map(json.dumps) | texts,
            strict=st.sampled_from([None, True]),
        ),
        max_size=3,
    ).map(tuple),
    response_schema=st.none() | schemas.map(json.dumps) | texts,
    json_mode=st.booleans(),
    tool_choice=st.sampled_from([None, "auto", "required", "none", "f", "x"]),
    max_tokens=st.sampled_from([None, 0, 5]),
)
wild = st.builds(
    Session,
    id=st.just("wild"),
    format=st.just("wild"),
    messages=st.lists(messages, max_size=12).map(tuple),
    contexts=contexts.map(lambda one: (one,)),
)


@given(wild)
@quick
def test_no_session_makes_a_validator_raise(session):
    judged = validate(session, Settings())
    assert [v.step for v in judged.verdicts] == list(session.steps)


@given(wild, st.booleans())
@quick
def test_no_answer_makes_a_judge_raise(session, demand):
    for step in session.steps:
        answer = session.messages[step]
        _, verdict = judge(session, step, answer, settings=Settings(), demand_call=demand)
        assert verdict.state in ("pass", "fail", "unjudged")


@given(schemas, values)
@quick
def test_no_schema_and_value_raise(schema, value):
    known = compiled(json.dumps(schema))
    assert (known.validator is None) is bool(known.problem)
    list(breaches(known, value))
    list(undeclared(known, value))
