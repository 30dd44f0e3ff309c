"""Hypothesis strategies for the nouns, shared by the property tests of several rooms."""

from __future__ import annotations

from hypothesis import strategies as st

from misstep.types import Context, Message, Part, Session, ToolCall, ToolResult, ToolSpec

texts = st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=40)
names = st.from_regex(r"[a-z_]{1,12}", fullmatch=True)
arguments = st.one_of(st.sampled_from(['{"a": 1}', "{}", '{"a": ', "not json", "[1]", ""]), texts)

calls = st.builds(
    ToolCall,
    name=names,
    arguments=arguments,
    id=st.none() | names,
    verbatim=st.booleans(),
)
results = st.builds(
    ToolResult,
    text=texts,
    call_id=st.none() | names,
    name=st.none() | names,
    is_error=st.none() | st.booleans(),
)
text_parts = st.builds(Part, kind=st.sampled_from(["text", "reasoning"]), text=texts)
call_parts = st.builds(Part, kind=st.just("call"), call=calls)
result_parts = st.builds(Part, kind=st.just("result"), result=results)

tools = st.builds(
    ToolSpec,
    name=names,
    description=st.none() | texts,
    parameters=st.none()
    | st.sampled_from(
        [
            '{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}',
            '{"type": "object"}',
            '{"type": 3}',
            "not json",
        ]
    ),
)
contexts = st.builds(
    Context,
    tools=st.lists(tools, max_size=2).map(tuple),
    tool_choice=st.none() | st.sampled_from(["auto", "required", "none"]),
    json_mode=st.booleans(),
)
users = st.builds(
    Message, role=st.just("user"), parts=st.lists(text_parts, min_size=1, max_size=2).map(tuple)
)
assistants = st.builds(
    Message,
    role=st.just("assistant"),
    parts=st.lists(text_parts | call_parts, max_size=3).map(tuple),
    context=st.none() | st.just(0),
    finish_reason=st.none() | st.sampled_from(["stop", "length", "tool_calls"]),
    model=st.none() | names,
)
replies = st.builds(
    Message, role=st.just("tool"), parts=st.lists(result_parts, min_size=1, max_size=2).map(tuple)
)
sessions = st.builds(
    Session,
    id=names,
    format=names,
    messages=st.lists(users | assistants | replies, max_size=8).map(tuple),
    contexts=contexts.map(lambda context: (context,)),
    family=st.just("") | names,
)
