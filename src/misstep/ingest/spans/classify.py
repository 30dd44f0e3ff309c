"""What one span is, decided span by span: one file may mix the conventions of several libraries.

In: a span. Out: a request with its messages, the run of a tool, an agent, or another span. The
conventions are tried from the one that keeps most to the one that keeps least. A span without any
key of a convention is told apart before anything of it is decoded.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from msgspec.structs import replace

from misstep.ingest.messages import text_or_none
from misstep.ingest.spans import genai, indexed, vercel
from misstep.ingest.spans.facts import (
    Offers,
    argument_text,
    conversation_of,
    model_of,
    parsed,
    trouble,
    usage_of,
)
from misstep.ingest.spans.found import Agent, Finding, Other, Request, Run, spot_of
from misstep.ingest.spans.history import Histories
from misstep.ingest.spans.results import dumped, text_of
from misstep.ingest.spans.span import Attributes, Span, first
from misstep.types import Context, Message

_ASKS = ("chat", "text_completion", "generate_content", "completion", "message_creation")
_AGENTS = ("invoke_agent", "invoke_workflow")
_OUTER = ("ai.generateText", "ai.streamText", "ai.generateObject", "ai.streamObject")
_INDEXED = (indexed.INPUT, indexed.OUTPUT)
_NUMBERED = (indexed.PROMPT, indexed.COMPLETION)


class Desk:
    """What spans share while they are read."""

    def __init__(self) -> None:
        self.histories = Histories()
        self.offers = Offers()


def find(span: Span, desk: Desk) -> Finding:
    """What the span is.

    Raises:
        Misfit: an attribute of a convention has a shape that the convention does not know.
    """
    attributes = span.attributes
    kind = _kind(span)
    if kind == "other":
        return Other(spot=spot_of(span))
    spot = spot_of(span, conversation_of(attributes))
    if kind == "tool":
        return tool_run(span)
    if kind == "agent":
        name = first(attributes, "gen_ai.agent.name", "agent_name", "agent.name")
        called = span.name.removeprefix("invoke_agent ").removesuffix(".run")
        agent = Agent(spot=spot, name=text_or_none(name) or called, model=model_of(attributes))
        agent.schema = text_or_none(attributes.get("ai.schema"))
        told = genai.whole_conversation(attributes, desk.histories, span.id)
        if told is None and not kind_is_outer(attributes):
            told = _told(span, desk)
        if told is not None:
            agent.request = _request(span, told, desk)
        return agent
    told = _told(span, desk)
    if told is None and kind != "request":
        return Other(spot=spot)
    return _request(span, told or ([], []), desk)


def kind_is_outer(attributes: Attributes) -> bool:
    """Whether a span is the Vercel SDK's bracket around several requests."""
    return attributes.get("ai.operationId") in _OUTER


def _kind(span: Span) -> str:
    """`tool`, `agent`, `request` (whatever it holds), `other`, or `unknown`."""
    attributes = span.attributes
    operation = attributes.get("gen_ai.operation.name")
    inferred = attributes.get("openinference.span.kind")
    looped = attributes.get("traceloop.span.kind")
    if operation == "execute_tool" or inferred == "TOOL" or looped == "tool":
        return "tool"
    if "ai.toolCall.name" in attributes:
        return "tool"
    if operation in _AGENTS or inferred == "AGENT" or looped == "agent":
        return "agent"
    if kind_is_outer(attributes) or "pydantic_ai.all_messages" in attributes:
        return "agent"
    if "all_messages_events" in attributes:
        return "agent"
    if operation in _ASKS or inferred == "LLM" or "llm.request.type" in attributes:
        return "request"
    if isinstance(inferred, str) or isinstance(looped, str):
        return "other"
    if "gen_ai.tool.name" in attributes and "gen_ai.request.model" not in attributes:
        return "tool" if not genai.has_messages(attributes) else "unknown"
    if "gen_ai.request.model" in attributes and operation is None:
        return "request"
    known = any(key.startswith(("gen_ai.", "llm.", "ai.", "events")) for key in attributes)
    return "unknown" if known or span.events else "other"


def _told(span: Span, desk: Desk) -> genai.Told | None:
    """The messages of a request, in whichever convention; None where none were captured."""
    attributes, histories = span.attributes, desk.histories
    if any(key.startswith(_INDEXED) for key in attributes):
        history, answers = indexed.openinference(attributes, histories)
        if not any(answer.parts for answer in answers):
            answers = raw_answers(_output(attributes)) or answers
        return history, answers
    if genai.has_messages(attributes):
        return genai.from_attributes(attributes, histories, span.trace)
    if any(key.startswith(_NUMBERED) for key in attributes):
        return indexed.openllmetry(attributes, histories)
    if vercel.MESSAGES in attributes or "ai.response.toolCalls" in attributes:
        return vercel.told(attributes, histories, span.trace)
    told = genai.span_events(span, histories)
    return told if told is not None else _raw(attributes, histories)


def _raw(attributes: Attributes, histories: Histories) -> genai.Told | None:
    """The request and the response as the provider's own JSON, where only these were kept."""
    said = attributes.get("input.value")
    asked = parsed(said) if isinstance(said, str) and said[:1] == "{" else said
    if not isinstance(asked, dict) or not isinstance(asked.get("messages"), list):
        return None
    return histories.listed(asked["messages"], "/input.value"), raw_answers(_output(attributes))


def _output(attributes: Attributes) -> Any:
    """The response as the provider sent it, if it is kept; else text, or nothing."""
    back = attributes.get("output.value")
    return parsed(back) if isinstance(back, str) and back[:1] == "{" else back


def raw_answers(whole: Any) -> list[Message]:
    """The answers in a provider's response: chat completions, Anthropic messages, or plain text."""
    if isinstance(whole, str):
        return genai.answer_rows(whole, "output") if whole else []
    if not isinstance(whole, dict):
        return []
    choices = whole.get("choices")
    if isinstance(choices, list):
        found: list[Message] = []
        for choice in choices:
            if isinstance(choice, dict):
                made = genai.answer_rows(choice.get("message"), "choices")
                reason = text_or_none(choice.get("finish_reason"))
                found.extend(replace(m, finish_reason=reason) for m in made)
        return found
    if any(key in whole for key in ("content", "parts", "tool_calls")):
        row = {"role": "assistant", **whole}
        made = genai.answer_rows(row, "output")
        reason = text_or_none(whole.get("stop_reason"))
        return [replace(m, finish_reason=m.finish_reason or reason) for m in made]
    return []


def _tools(attributes: Attributes) -> tuple[Any, Hashable]:
    """The offered tools in whichever convention, with a dictionary key for them."""
    for name in ("gen_ai.tool.definitions", "gen_ai.request.tools", "ai.prompt.tools"):
        given = attributes.get(name)
        if given is not None:
            return given, given if isinstance(given, str) else dumped(given)
    if any(key.startswith(indexed.TOOLS) for key in attributes):
        return indexed.openinference_tools(attributes)
    if any(key.startswith(indexed.FUNCTIONS) for key in attributes):
        return indexed.openllmetry_tools(attributes)
    given = attributes.get("model_request_parameters")
    asked = parsed(given) if isinstance(given, str) else given
    if isinstance(asked, dict):
        listed = [asked.get("function_tools"), asked.get("output_tools")]
        return [t for tools in listed if isinstance(tools, list) for t in tools], dumped(given)
    return None, None


def offered(attributes: Attributes, desk: Desk) -> Context:
    """What the request offered.

    Raises:
        Misfit: its tools have a shape that no convention uses.
    """
    tools, key = _tools(attributes)
    return desk.offers.of(attributes, tools, key)


def _request(span: Span, told: genai.Told, desk: Desk) -> Request:
    return request_of(span, told, offered(span.attributes, desk), span.attributes)


def request_of(span: Span, told: genai.Told, context: Context, attributes: Attributes) -> Request:
    """A request with its answers; a failed one without an answer has its error for one."""
    history, answers = told
    wrong = trouble(span)
    if not any(answer.parts for answer in answers) and wrong is not None:
        answers = [Message(role="assistant", error=wrong)]
    elif wrong is not None and answers:
        answers = [replace(answer, end="cut") for answer in answers]
    return Request(
        spot=spot_of(span, conversation_of(attributes)),
        history=history,
        answers=whole_or_cut(answers),
        context=context,
        model=model_of(attributes),
        usage=usage_of(attributes),
    )


def whole_or_cut(answers: list[Message]) -> list[Message]:
    """Answers that broke off as such; instrumentations give these the finish reason `error`."""
    return [replace(a, end="cut") if a.finish_reason == "error" else a for a in answers]


_NAMES = ("gen_ai.tool.name", "ai.toolCall.name", "tool.name", "traceloop.entity.name")
_CALL_IDS = ("gen_ai.tool.call.id", "ai.toolCall.id", "tool_call.id", "tool.id")
_ARGUMENTS = (
    "gen_ai.tool.call.arguments",
    "ai.toolCall.args",
    "tool_arguments",
    "input.value",
    "traceloop.entity.input",
)
_RESULTS = (
    "gen_ai.tool.call.result",
    "ai.toolCall.result",
    "tool_response",
    "output.value",
    "traceloop.entity.output",
)


def tool_run(span: Span) -> Run:
    """One execution of a tool."""
    attributes = span.attributes
    arguments = argument_text(_inner(first(attributes, *_ARGUMENTS), _INPUTS))
    result = _inner(first(attributes, *_RESULTS), _OUTPUTS)
    heard, said = _strands(span)
    arguments = heard if arguments is None else arguments
    wrong = trouble(span)
    return Run(
        spot=spot_of(span, conversation_of(attributes)),
        name=text_or_none(first(attributes, *_NAMES)) or span.name.removeprefix("execute_tool "),
        call_id=text_or_none(first(attributes, *_CALL_IDS)),
        arguments=arguments,
        result=said if result is None else text_of(result),
        is_error=True if wrong is not None else span.failed,
        hint=wrong,
    )


_INPUTS = ("inputs", "kwargs", "input_str")
_OUTPUTS = ("output",)


def _inner(value: Any, names: tuple[str, ...]) -> Any:
    """What a decorator or a callback wrapped around arguments or a result."""
    if not isinstance(value, str) or value[:1] != "{":
        return value
    whole = parsed(value)
    if not isinstance(whole, dict) or not whole.keys() & {*names}:
        return value
    held = next((whole[name] for name in names if whole.get(name)), None)
    wrapping = {*names, "args", "tags", "metadata", "kwargs"}
    return held if held is not None and whole.keys() <= wrapping else value


def _strands(span: Span) -> tuple[str | None, str | None]:
    """Arguments and result as events of the tool's span."""
    given = back = None
    for event in span.events:
        if event.name == "gen_ai.tool.message":
            given = text_or_none(event.attributes.get("content"))
        elif event.name == genai.CHOICE:
            back = text_or_none(event.attributes.get("message"))
    return given, back
