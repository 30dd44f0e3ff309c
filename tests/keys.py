"""One made-up secret of every kind that is looked for, and a log that tells it wherever it can.

Assembled from pieces, so that no scanner takes this file for a leak.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

_MIX = "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA"
_HEX = "3f9a1c7e5b2d8046" * 4
_BODY = _MIX + _MIX[::-1]


@dataclass(frozen=True)
class Key:
    """A secret."""

    kind: str
    said: str
    """A text in which it is known."""
    secret: str
    """What of it may stand nowhere."""
    name: str = ""
    """The name by which it is known, where it has no form of its own."""


KEYS = (
    Key("private-key", f"-----BEGIN RSA PRIVATE KEY-----\n{_BODY}\n", _BODY),
    Key("jwt", token := f"eyJhbGciOiJIU1.eyJ{_MIX}.{_MIX[::-1]}", token),
    Key("github-token", token := f"ghp_{_MIX}1234", token),
    Key("github-token", token := f"github_pat_{_MIX}", token),
    Key("gitlab-token", token := f"glpat-{_MIX}", token),
    Key("aws-key", token := "AKIA" + "Z7Q2M4X6B8N1V3C5", token),
    Key("google-key", token := f"AIza{_MIX}b3C", token),
    Key("model-hub-token", token := f"hf_{_MIX}", token),
    Key("provider-key", token := f"sk-proj-{_MIX}", token),
    Key("provider-key", token := f"gsk_{_MIX}", token),
    Key("payment-key", token := f"sk_live_{_MIX}", token),
    Key("chat-token", token := f"xoxb-123456789012-{_MIX}", token),
    Key("package-token", token := f"npm_{_MIX}1234", token),
    Key("package-token", token := f"pypi-{_BODY}", token),
    Key("bearer-token", f"Bearer {_MIX}", _MIX),
    Key(
        "basic-login", "Authorization: Basic QWRhOjQydjN3eDl5", "QWRhOjQydjN3eDl5", "Authorization"
    ),
    Key("url-password", f"https://bob:{_MIX}@db/x", _MIX),
    Key("secret-value", f"api_key={_MIX}", _MIX, "api_key"),
    Key("artifactory-token", f" AKC{_MIX} ", _MIX),
    Key("azure-key", f"AccountKey={(_MIX * 3)[:86]}==", (_MIX * 3)[:86]),
    Key("cloudant-login", f"cloudant_pw={_HEX}", _HEX, "cloudant_pw"),
    Key("discord-token", f"discord M{_MIX[:23]}.{_MIX[:6]}.{_MIX[:27]}", _MIX[:23]),
    Key("ibm-key", f"ibm_iam_pwd={(_MIX * 2)[:44]}", (_MIX * 2)[:44], "ibm_iam_pwd"),
    Key("mailchimp-key", f"mailchimp {_HEX[:32]}-us12", _HEX[:32]),
    Key("sendgrid-key", token := f"SG.{_MIX[:22]}.{(_MIX * 2)[:43]}", token),
    Key("chat-webhook", f"https://hooks.slack.com/services/T01/B02/{_MIX}", _MIX),
    Key("softlayer-key", f"softlayer_pwd={_HEX}", _HEX, "softlayer_pwd"),
    Key("square-token", token := f"sq0csp-{(_MIX * 2)[:43]}", token),
    Key("telegram-token", f"telegram 1234567890:A{(_MIX * 2)[:34]}", (_MIX * 2)[:34]),
    Key("twilio-key", f"twilio AC{_HEX[:32]}", _HEX[:32]),
    Key("email", token := "ada.lovelace@northwind.io", token),
    Key("home", "/Users/adaaugustalovelace/x.py", "adaaugustalovelace"),
    Key("home", "C:\\Users\\adaaugustalovelace\\x.py", "adaaugustalovelace"),
)
_FIELDS = {"n": {"type": "integer"}, "e": {"enum": ["a"]}, "f": {"type": "string", "pattern": "^z"}}
_DEEP = {"type": "object", "properties": {"b": {"type": "object", "additionalProperties": False}}}


def _tool(name: str, **more: object) -> dict:
    form = {"type": "object", "properties": _FIELDS, **more}
    return {"type": "function", "function": {"name": name, "parameters": form}}


_TOOLS = [_tool("open_"), _tool("shut", additionalProperties=False)]
_TOOLS[0]["function"]["parameters"]["properties"] = {**_FIELDS, "deep": _DEEP}


def _call(arguments: str, name: str = "open_", at: int = 0) -> dict:
    made = {"id": f"c{at}", "type": "function", "function": {"name": name, "arguments": arguments}}
    return {"role": "assistant", "content": None, "tool_calls": [made]}


def _result(text: str, at: int = 0, **more: object) -> dict:
    return {"role": "tool", "tool_call_id": f"c{at}", "content": text, **more}


def _says(text: str, finish: str = "stop") -> dict:
    return {"role": "assistant", "content": text, "finish_reason": finish}


def telling(key: Key) -> Iterator[dict]:
    """Rows of a log in which the secret stands wherever a log can hold text."""
    talks = [*_of_tools(key.said, key), *_of_answers(key.said)]
    for number, (messages, more) in enumerate(talks):
        ask = {"role": "user", "content": f"Do the job {number} of {key.kind}."}
        yield {"messages": [ask, *messages], "tools": _TOOLS, **more}


def _of_answers(said: str) -> Iterator[tuple[list[dict], dict]]:
    for text in (*_json(said), *_plain(said)):
        yield [_says(text)], {"response_schema": {"type": "object", "properties": _FIELDS}}
    yield from (([_says(text)], {}) for text in _plain(said))
    yield [_says("", f"malformed_function_call {said}")], {}
    yield [{"role": said, "content": "hm"}], {}
    yield [{"role": f"{'x' * 60} {said}", "content": "hm"}], {}
    yield [_says(said, "length")], {"id": said, "model": said}


def _of_tools(said: str, key: Key) -> Iterator[tuple[list[dict], dict]]:
    quoted, wrong = json.dumps(said), "Error: invalid argument"
    for pad in (0, 250, 262, 275, 290):
        error = f"{wrong} {'x ' * (pad // 2)}{said}, and more of it"
        yield [_call(json.dumps({"n": pad})), _result(error, is_error=True)], {}
    error = f"{wrong}{' ' * 550}{said}{' and more of it' * 60}"
    yield [_call("{}"), _result(error, is_error=True)], {}
    failed = (
        (_call(json.dumps({"n": at}), at=at), _result(f"{wrong} {said}", at, is_error=True))
        for at in range(4)
    )
    yield [part for pair in failed for part in pair], {}
    same = ((_call(f'{{"f": {quoted}}}', at=at), _result("ok", at)) for at in range(5))
    yield [part for pair in same for part in pair], {}
    twice = _call(f'{{"f": {quoted}}}')
    twice["tool_calls"] *= 6
    yield [twice], {}
    for name in ("n", "e", "f", "deep", key.name or "n", said):
        value = said.removeprefix(name).lstrip("=: ") if name == key.name else said
        yield [_call(json.dumps({name: value})), _result("ok")], {}
        yield [_call(json.dumps({name: value}), "shut"), _result("ok")], {}
    yield [_call(json.dumps({"deep": {"b": {said: 1}}})), _result("ok")], {}
    yield [_call(json.dumps({"n": "1", said: {said: said}}), "shut"), _result("ok")], {}
    yield [_call('{"n": 1}', said), _result("ok")], {}
    yield from (([_call(text), _result("ok")], {}) for text in _json(said))


def _json(said: str) -> Iterator[str]:
    """Answers and arguments that fail as JSON."""
    quoted = json.dumps(said)
    for pad in ("", "y" * 17 + " ", "y" * 33 + " "):
        yield f'{{"service": "{pad}", token: {quoted}, "ok": true}}'
        yield f'{{"text": "{pad}{said}" "n": 1}}'
        yield f'{{"n": 1, "s": {quoted} {pad}'
    yield f'{{"s": {quoted}, "s": {quoted}, {quoted}: 1, {quoted}: 2}}'
    yield f"{{{quoted}: 123456789012345678901234567890}}"
    yield f'Here you are: {said} {{"n": 1}} and {said}'
    yield f"No JSON at all, {said}"
    yield json.dumps([{"what is said": said}] * 12)
    yield json.dumps({"n": said, "e": said, "f": said})


def _plain(said: str) -> Iterator[str]:
    """Answers that fail as text."""
    call = json.dumps({"name": "open_", "arguments": {"f": said}})
    yield f"The word is {said} " * 30
    yield "".join(f"{at} is the number of {said} and of more\n" for at in range(40))
    yield f"<|im_end|> {said}"
    yield f"<tool_call>\n{call}\n</tool_call>"
    yield f"<tool_call>\n{said}\n</tool_call>"
    yield f"```python\nprint({said!r}\nx = = 1 # {said}\n```\nSo it is."
    yield f"So:\n```python\nx = {said!r}\n"
