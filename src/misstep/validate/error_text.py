"""What came back from a tool: was it an error, and whose.

In: one tool result. Out: a `ToolFault` with its cause, or None. Where the format keeps an error
flag, the flag decides; so does a logged cause, and a logged exit code. Where it keeps none, only a
result whose head clearly is an error text counts, since file contents and search hits also say
"error" somewhere. The cause is read from the head of the text, from the most certain to the least:
a human's no, a knock-on of another call, infrastructure, the model's bad arguments, the tool's own
failure; else it is unknown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import jiter

from misstep.redact import clip
from misstep.types import Cause, ToolResult

HEAD = 600
"""Characters of a result that are read for its cause."""
SHORT = 1000
"""A result without an error flag is read for bare error words only up to this length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFault:
    """An error result."""

    cause: Cause
    said: str
    """The head of the result."""


_BEGINS = re.compile(
    r"""\s*(?:<tool_use_error>|\W{0,3}\s*)(?:
      (?:[A-Za-z_]\w*+\.)*+[A-Za-z_]*+(?:(?<=error)|(?<=exception))\b\s*(?::|\(|$)  # ValueError:
    | (?:error|fatal|failure|exception)\b\s*(?::|-|$|\[|code|executing|calling|running|while)
    | traceback\ \(most\ recent\ call\ last\)
    | (?:http\ error|status\ code)\ [45]\d\d
    | (?:unknown|invalid|no\ such)\ (?:tool|function|argument|parameter)s?\b
    )""",
    re.I | re.X,
)
_SHORT_ONLY = re.compile(
    r"\s*(?:failed to|could not|cannot|unable to|missing required|invalid\b|permission denied)",
    re.I,
)

_CAUSES: tuple[tuple[Cause, tuple[str, ...], re.Pattern[str]], ...] = (
    (
        "human",
        ("user", "require", "granted", "permission", "hook", "interrupted"),
        re.compile(
            r"user (?:doesn't|does not|did not|didn't) want|"
            r"(?:rejected|denied|declined|cancell?ed|aborted|interrupted|stopped) by (?:the )?user|"
            r"user (?:has )?(?:rejected|denied|declined|cancell?ed|aborted|interrupted)|"
            r"requires? (?:your )?(?:approval|permission)|haven't granted|not granted|"
            r"permission to use .{0,80}denied|hook (?:blocked|denied|error)|blocked by (?:a )?hook|"
            r"request interrupted",
            re.I,
        ),
    ),
    (
        "knock-on",
        ("sibling", "parallel", "because", "previous"),
        re.compile(
            r"sibling tool call|parallel tool call .{0,40}(?:errored|failed|cancell?ed)|"
            r"(?:skipped|cancell?ed|not executed) because|because (?:a|another) .{0,30}call failed|"
            r"previous (?:tool )?call (?:failed|errored)",
            re.I,
        ),
    ),
    (
        "infrastructure",
        (
            *("429", "50", "52", "rate", "too many", "time", "connection", "econn", "enotfound"),
            *("eai_again", "unavailable", "gateway", "overloaded", "internal server", "network"),
            *("resolution", "quota", "socket", "remote end", "redirects", "no space", "sandbox"),
        ),
        re.compile(
            r"\b(?:status(?: code)?|http(?:/\d(?:\.\d)?)?|error(?: code)?|code)\W{0,4}"
            r"(?:429|50\d|52\d)\b|\b(?:429 too many|50[0-4] (?:internal|bad|service|gateway))|"
            r"rate.?limit|too many requests|timed?[ -]?out\b|\btimeout(?:error| |:|$)|"
            r"connection (?:refused|reset|closed|aborted|error|timed)|ECONN\w+|ETIMEDOUT|ENOTFOUND|"
            r"EAI_AGAIN|service (?:is )?(?:temporarily )?unavailable|bad gateway|overloaded|"
            r"internal server error|network (?:is unreachable|error)|name resolution|"
            r"temporarily unavailable|quota exceeded|socket hang up|remote end closed|"
            r"exceeded \d+ redirects|"
            r"no space left on device|sandbox (?:is )?(?:unavailable|not running)",
            re.I,
        ),
    ),
    (
        "tool",
        ("command not found", "execution failed"),
        re.compile(r"command not found|(?:tool )?execution failed", re.I),
    ),
    (
        "model",
        ("",),
        re.compile(
            r"inputvalidation|validation error|schema|"
            r"(?:invalid|unknown|unexpected|unrecogni[sz]ed|missing|bad|wrong|illegal)\W{1,3}"
            r"(?:\w+\W{1,3}){0,3}(?:arguments?|params?|parameters?|inputs?|propert(?:y|ies)|fields?|"
            r"keys?|options?|keyword|values?|types?|json|tools?|functions?|ids?|format|date)\b|"
            r"no such tool|tool .{0,60} not (?:found|available)|"
            r"(?:function|tool) .{0,60} (?:does not exist|is not defined)|"
            r"is required|are required|must (?:be|have|not|match|contain|provide|specify)|"
            r"should be|expected .{1,80}(?:got|but|received|found)|"
            r"not (?:a )?valid|malformed|-3260[0-2]\b|jsondecode|"
            r"(?:could not|cannot|failed to|unable to) (?:be )?(?:parse|decode)|"
            r"does not (?:exist|match)|not found|no (?:matching|results? for)|"
            r"has not been read|already exists|exceeds|out of (?:range|bounds)|"
            r"do(?:es)? not (?:add up|belong|match)|(?:key|type|value|index|attribute)error|"
            r"cannot be (?:changed|cancell?ed|modified|exchanged|returned|used)|not available|"
            r"not enough|insufficient|too (?:long|large|short|many|few)|"
            r"fix the errors and try again",
            re.I,
        ),
    ),
    (
        "tool",
        (
            *("traceback", "exit", "non-zero", "exception", "internal error", "assertion"),
            *("command not found", "status code", "segmentation", "crash", "unhandled", "panic"),
        ),
        re.compile(
            r"traceback|exit(?:ed with)?(?: status| code)? \d|returned non-zero|"
            r"exception|internal error|assertion|command not found|status code \d|"
            r"segmentation fault|crash|unhandled|panic",
            re.I,
        ),
    ),
)
"""Each cause with words one of which stands in whatever its pattern finds: looked for first."""
_EXIT = re.compile(r"\s*(?:error:\s*)?(?:exit code|command failed with exit code) \d+", re.I)
_SHELL = re.compile(r"(?:^|[._-])(?:bash|shell|sh|terminal|exec\w*|run_?command|console)$", re.I)
_MISUSE = re.compile(r"tool_use_error|inputvalidation|validation error", re.I)


def read_fault(result: ToolResult, tool: str = "") -> ToolFault | None:
    """The error that the result of `tool` is, or None.

    A non-zero exit status and a shell's output are the command's own report (a failing test is no
    bad call), whatever they say.
    """
    if result.is_error is False:
        return None
    if result.is_error is None and not _failed(result):
        return None
    head = result.text[:HEAD]
    if result.cause is not None:
        return ToolFault(cause=result.cause, said=head)
    reports = (
        bool(result.exit_code) or _EXIT.match(head) is not None or _SHELL.search(tool) is not None
    )
    cause = _cause(f"{result.hint or ''}\n{head}", reports and not _MISUSE.search(head))
    return ToolFault(cause=cause, said=head)


def quoted(result: ToolResult | None) -> str:
    """The head of an error result on one line, as a finding may quote it: redacted if it is cut."""
    text = "" if result is None else result.text
    return " ".join((text if len(text) <= HEAD else clip(text, HEAD)).split())


def _cause(text: str, reports: bool) -> Cause:
    low = text.lower()
    for cause, words, pattern in _CAUSES:
        if reports and cause == "model":
            continue
        if any(word in low for word in words) and pattern.search(text):
            return cause
    return "tool" if reports else "unknown"


def _failed(result: ToolResult) -> bool:
    """Whether a result without a flag is an error: a cause or an exit code beats its text."""
    if result.cause is not None:
        return True
    return result.exit_code != 0 if result.exit_code is not None else _looks_wrong(result.text)


def _looks_wrong(text: str) -> bool:
    if (text[:64].lstrip() or text.lstrip())[:1] == "{":
        return _error_object(text)
    if _BEGINS.match(text):
        return True
    return len(text) <= SHORT and _SHORT_ONLY.match(text) is not None


def _error_object(text: str) -> bool:
    """True for a short JSON object that names an error: `{"error": "…"}`, `{"isError": true}`."""
    if len(text) > SHORT * 4 or not re.search(r'"(?:is_?error|error|errors|success|status)"', text):
        return False
    try:
        value = jiter.from_json(text.encode("utf-8", "surrogatepass"))
    except ValueError:
        return False
    if not isinstance(value, dict):
        return False
    told = any(value.get(key) for key in ("error", "errors", "isError", "is_error"))
    return told or value.get("success") is False or value.get("status") in ("error", "failed")
