"""The one table of dialects: how each is recognised in plain text, and how it is read.

A new dialect is one line here and one test. `openers` are patterns with a group `name` that is held
against the offered tools; `read` takes the calls out of an answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from misstep.dialects import code_calls, markup_calls
from misstep.dialects.found import Found, Given, Read, call_of
from misstep.dialects.harmony import harmony
from misstep.dialects.json_calls import between, named, whole
from misstep.dialects.markup_calls import tags


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One raw syntax."""

    name: str
    about: str
    """Whose it is."""
    openers: tuple[str, ...]
    read: Read


_SPACE = r"\s*+"
_KEY = r'\{\s*+"(?:name|tool_name|function)"\s*+:\s*+"(?P<name>[^"\n]{1,128})"'
_KEYED = rf"{_SPACE}(?:\[{_SPACE})?{_KEY}"
_LINE = r"(?m:^)[ \t]{0,8}+"
_WORD = r"(?P<name>[\w.:/-]{1,128}+)"
_IDENTIFIER = r"(?P<name>[A-Za-z_][\w.]{0,127}+)"
_VALUES = r"(?:arguments|parameters|tool_input|input)"
_JSON = r"\s*[\[{]"
_KIMI_ID = r"(?P<id>(?:functions\.)?(?P<name>[^\s<:]{1,256})(?::\d+)?)"


def _react(text: str, given: Given) -> Iterator[Found]:
    """`Action: NAME`, `Action Input: …`, up to what came back or the next thought."""
    for found in _REACT.finditer(text):
        one = call_of(found["name"].strip(), found["args"].strip())
        yield Found(found.start(), found.end(), (one,))


_REACT = re.compile(
    r"(?m:^)[ \t]*Action[ \t]*:[ \t]*(?P<name>[^\n]{1,256}?)[ \t\r]*\n\s*Action Input[ \t]*:"
    r"(?P<args>.*?)(?=\n[ \t]*(?:Observation|Thought|Action)[ \t]*:|\Z)",
    re.S,
)


def _either(*readers: Read) -> Read:
    """The finds of the first reader that has any."""

    def read(text: str, given: Given) -> Iterator[Found]:
        for reader in readers:
            found = list(reader(text, given))
            if found:
                yield from found
                return

    return read


DIALECTS: tuple[Dialect, ...] = (
    Dialect(
        name="hermes",
        about="Hermes 2 and 3, Qwen 2.5 and 3; Granite with a list",
        openers=(r"<tool_call>" + _KEYED,),
        read=between(r"<tool_call>", r"</tool_call>", lead=_JSON),
    ),
    Dialect(
        name="qwen-coder",
        about="Qwen3-Coder; Llama's <function=NAME>{…}",
        openers=(r"<function=(?P<name>[^>\s]{1,128})>",),
        read=markup_calls.qwen_coder,
    ),
    Dialect(
        name="glm",
        about="GLM 4.5 and later",
        openers=(rf"<tool_call>{_SPACE}{_WORD}{_SPACE}<arg_key>",),
        read=markup_calls.glm,
    ),
    Dialect(
        name="invoke",
        about="Claude's XML, DeepSeek V3.2, MiniMax",
        openers=(r"<(?:[|｜]DSML[|｜])?invoke name=\"(?P<name>[^\"\n]{1,128})\"",),
        read=markup_calls.invoke,
    ),
    Dialect(
        name="harmony",
        about="gpt-oss",
        openers=(r"\bto=(?:functions\.)?(?P<name>[\w.-]{1,128}+)(?=[\s<][^{]{0,120}\{)",),
        read=harmony,
    ),
    Dialect(
        name="open-toolscall",
        about="calls behind <|open|>toolscall",
        openers=(rf"<\|open\|>{_SPACE}toolscall{_SPACE}tool=\"?{_WORD}",),
        read=named(
            r"<\|open\|>\s*toolscall\s*tool=\"?(?P<name>[\w.:/-]{1,256})\"?[^{<]{0,80}", None
        ),
    ),
    Dialect(
        name="mistral",
        about="Mistral up to v7",
        openers=(r"\[TOOL_CALLS\]" + _KEYED,),
        read=between(r"\[TOOL_CALLS\]", None, lead=_JSON),
    ),
    Dialect(
        name="mistral-args",
        about="Mistral v11 and later",
        openers=(rf"\[TOOL_CALLS\]{_SPACE}{_WORD}{_SPACE}(?=\[|\{{)",),
        read=named(
            r"\[TOOL_CALLS\]\s*(?P<name>[\w.:/-]{1,256})\s*"
            r"(?:\[CALL_ID\]\s*(?P<id>[^\[\s]{1,64})\s*)?(?:\[ARGS\])?(?=\s*\{|\[)",
            r"(?=\[TOOL_CALLS\])|</s>",
        ),
    ),
    Dialect(
        name="functools",
        about="Phi-4-mini",
        openers=(r"\bfunctools" + _KEYED,),
        read=between(r"\bfunctools", None, lead=_JSON),
    ),
    Dialect(
        name="python-tag",
        about="Llama 3.1 and 4",
        openers=(
            r"<\|python_(?:tag|start)\|>" + _KEYED,
            rf"<\|python_(?:tag|start)\|>{_SPACE}\[?(?P<name>[A-Za-z_]\w{{0,127}}+)(?:\.call)?\(",
        ),
        read=_either(
            between(r"<\|python_tag\|>", r"<\|eo[mt]_id\|>", lead=r"\s*\{"), code_calls.python_tag
        ),
    ),
    Dialect(
        name="deepseek",
        about="DeepSeek V3, R1 and V3.1",
        openers=(r"<｜tool▁call▁begin｜>(?:function<｜tool▁sep｜>)?(?P<name>[^\s<｜]{1,128})",),
        read=named(
            r"(?:<｜tool▁calls▁begin｜>\s*)?<｜tool▁call▁begin｜>(?:function<｜tool▁sep｜>"
            r"(?P<name>[^\n<]{1,256})\n```json\n|(?P<name2>[^\n<]{1,256})<｜tool▁sep｜>)",
            r"\s*(?:```)?\s*<｜tool▁call▁end｜>(?:\s*<｜tool▁calls▁end｜>)?",
        ),
    ),
    Dialect(
        name="kimi",
        about="Kimi K2",
        openers=(rf"<\|tool_call_begin\|>{_SPACE}(?:functions\.)?(?P<name>[\w./-]{{1,128}}+)",),
        read=named(
            r"(?:<\|tool_calls_section_begin\|>\s*)?<\|tool_call_begin\|>\s*"
            + _KIMI_ID
            + r"\s*<\|tool_call_argument_begin\|>",
            r"<\|tool_call_end\|>(?:\s*<\|tool_calls_section_end\|>)?",
        ),
    ),
    Dialect(
        name="phi",
        about="Phi-4-mini, Granite 3: <|tool_call|>[…]",
        openers=(r"<\|tool_call\|>" + _KEYED,),
        read=between(r"<\|tool_call\|>", r"<\|/tool_call\|>", lead=_JSON),
    ),
    Dialect(
        name="granite",
        about="Granite 20b, Glaive: <function_call> {…}",
        openers=(r"<function_call>" + _KEYED,),
        read=between(r"<function_?call>", r"</function_?call>", lead=_JSON),
    ),
    Dialect(
        name="gemma",
        about="FunctionGemma; Gemma 3 with a tool_code fence",
        openers=(rf"<start_function_call>{_SPACE}call:{_WORD}(?=\{{)",),
        read=_either(
            markup_calls.gemma, tags(r"```tool_code[ \t]*\n", r"\n?```", code_calls.lines)
        ),
    ),
    Dialect(
        name="olmo",
        about="Olmo 3",
        openers=(rf"<function_calls>{_SPACE}{_IDENTIFIER}\(",),
        read=tags(r"<function_calls>\s*", r"</function_calls>", code_calls.lines),
    ),
    Dialect(
        name="react",
        about="ReAct prompts",
        openers=(rf"{_LINE}Action[ \t]*+:[ \t]*+{_WORD}[ \t\r]*+\n{_SPACE}Action Input\s*+:",),
        read=_react,
    ),
    Dialect(
        name="json-calls",
        about="Llama 3.1 JSON, xLAM, Hammer",
        openers=(
            rf'"tool_calls"{_SPACE}:{_KEYED}(?=\s*+,\s*+"{_VALUES}")',
            rf'{_LINE}(?:\[{_SPACE})?{_KEY}(?=\s*+,\s*+"{_VALUES}")',
        ),
        read=whole,
    ),
    Dialect(
        name="pythonic",
        about="Llama 3.2 and 4, ToolACE, Olmo",
        openers=(rf"{_LINE}\[{_IDENTIFIER}\((?=[A-Za-z_]\w{{0,63}}+[ \t]*+=|\)\s*+[\],])",),
        read=code_calls.pythonic,
    ),
)

UNMARKED: tuple[Dialect, ...] = (
    Dialect(
        name="toolace",
        about="ToolACE: names with blanks",
        openers=(),
        read=code_calls.toolace,
    ),
    Dialect(
        name="calls",
        about="NexusRaven, Gorilla: f(a=1); g()",
        openers=(),
        read=code_calls.lines,
    ),
    Dialect(
        name="glm-4",
        about="GLM 4: the name on a line, then JSON",
        openers=(),
        read=named(r"\A\s*(?P<name>[\w.:/-]{1,256})[ \t]*\n(?=\s*\{)", None),
    ),
)
"""Dialects that nothing marks: read only where a log or its user names them."""
