"""Chat templates: messages to token ids, the same way at training, sampling and evaluation.

In: `Message`s and the `Context` of their request. Out: ids (or text) of the prompt up to where the
answer begins, and ids of an answer. A training row is `prompt_ids + answer_ids`, which is what
sampling continues from, so a prefix cannot drift; an answer is encoded behind what every prompt
ends in (`behind`), so the row is what the tokenizer makes of the whole, unless one of its tokens
would reach across. `encode` also checks per row that the model's own template and tokenizer agree,
and gives a reason where they do not.

A template that renders tools, calls with verbatim arguments in Hermes form, and results is used
natively (`native` is true; found out by rendering probes). Any other gets the rendering of
`fallback`. What a template always puts before an answer (an empty `<think>` block, say) belongs to
the prompt, but for spaces at its end (Llama 2): they are one token with the word behind them, so
they belong to the answer. Reasoning is left out. Spellings of control tokens in logged text never
become control tokens (`neutral`), and spellings of placeholders never images.

With an `eye`, images of system and user messages stand where they stood in the log; without one, a
conversation that holds an image makes no row and no prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from misstep.dialects import parse_answer, render_answer
from misstep.errors import ModelError
from misstep.models import fallback, native, pictures
from misstep.models.behind import Border, parting
from misstep.models.eye import Eye, Unseen
from misstep.models.neutral import Hidden, Neutraliser
from misstep.types import Context, Message, Part, ToolCall, ToolResult, ToolSpec

_PROBE_ANSWER = "Xanswer7X"
_CUT = "\ue004"


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """One training row as token ids; `refused` says why it cannot be used, None if it can."""

    prompt_ids: tuple[int, ...] = ()
    answer_ids: tuple[int, ...] = ()
    refused: str | None = None
    reason: str = "template"
    """Of a refusal: `template`, or `image` where an image cannot be shown to the model."""


class Template:
    """How one tokenizer's model reads a conversation.

    Raises:
        ModelError: the tokenizer has no chat template, or it cannot render a plain exchange.
    """

    def __init__(self, tokenizer: Any, eye: Eye | None = None) -> None:
        if not tokenizer.chat_template:
            raise ModelError(
                "the tokenizer has no chat template; give an instruction-tuned model, "
                "or add chat_template.jinja to its folder"
            )
        self._tokenizer = tokenizer
        self._eye = eye
        self._neutral = Neutraliser(tokenizer, eye.spellings if eye is not None else ())
        self._parts = eye is not None and self._takes_parts()
        self._system = self._takes([("system", "Xsystem7X"), ("user", "u")], "Xsystem7X")
        self._alternates = not self._takes([("user", "Xone7X"), ("user", "u")], "Xone7X")
        prompt, self._header, self._tail = self._frame()
        self._lead = self._header[len(self._header.rstrip(" ")) :]
        before = prompt + self._header.removesuffix(self._lead)
        self._border = Border(tokenizer, before, self._neutral.spellings)
        self.native = self._is_native()
        self.end_text = self._neutral.first_in(self._tail) or str(tokenizer.eos_token)
        self.end_id = int(tokenizer.convert_tokens_to_ids(self.end_text))

    # --- rendering -----------------------------------------------------------------------------

    def prompt_text(self, messages: Sequence[Message], context: Context) -> str:
        """The prompt as text, up to where the answer begins."""
        hidden = self._neutral.hidden()
        return hidden.shown(self._prompt(messages, context, hidden))

    def prompt_ids(self, messages: Sequence[Message], context: Context) -> list[int]:
        """Token ids of the prompt, up to where the answer begins.

        Raises:
            ModelError: the chat template refuses this conversation.
            Unseen: it holds an image that cannot be shown to the model.
        """
        hidden = self._neutral.hidden()
        return self._ids_of(self._prompt(messages, context, hidden), messages, hidden)

    def answer_text(self, answer: Message, end: bool = True) -> str:
        """The answer as text; with `end`, the end-of-turn token's spelling behind it."""
        hidden = self._neutral.hidden()
        text = hidden.shown(self._ending(answer, hidden, end))
        return text + (self.end_text if end else "")

    def answer_ids(self, answer: Message, end: bool = True) -> list[int]:
        """Token ids of the answer; with `end`, the one end-of-turn token that stops it."""
        hidden = self._neutral.hidden()
        return self._answer_ids(self._ending(answer, hidden, end), hidden, end)

    def answer_spans(self, answer: Message, end: bool = True) -> list[tuple[int, int]] | None:
        """Characters of `answer_text` that each of `answer_ids` stands for; None where unknown."""
        hidden = self._neutral.hidden()
        rendered = self._ending(answer, hidden, end)
        spans = self._neutral.spans(rendered, hidden, before=self._border.before)
        size = len(hidden.shown(rendered))
        return spans if spans is None or not end else [*spans, (size, size + len(self.end_text))]

    def control_in(self, text: str) -> str | None:
        """The first control token of the chat that a text spells; None where it spells none."""
        return self._neutral.control_in(text)

    def read(self, ids: Sequence[int]) -> str:
        """What a model wrote behind a prompt, without the token that ended it, as text."""
        return self._border.read(ids).removeprefix(self._lead)

    def parse(self, text: str, context: Context) -> Message:
        """What the model wrote, as an assistant message."""
        names = {tool.name for tool in context.tools}
        return Message(role="assistant", parts=parse_answer(text, tools=names))

    def encode(
        self, messages: Sequence[Message], context: Context, *, answer: Message, end: bool = True
    ) -> Encoded:
        """A training row, or the reason why the conversation and the answer do not make one."""
        hidden = self._neutral.hidden()
        try:
            reason = self.mismatch(messages, context, answer)
            if reason is not None:
                return Encoded(refused=reason)
            asked = self._prompt(messages, context, hidden)
            prompt = self._ids_of(asked, messages, hidden)
            wrote = self._ending(answer, hidden, end)
        except Unseen as error:
            return Encoded(refused=str(error), reason="image")
        except ModelError as error:
            return Encoded(refused=str(error))
        ids = self._answer_ids(wrote, hidden, end)
        if not ids:
            return Encoded(refused="the answer renders to no token")
        row = Encoded(prompt_ids=tuple(prompt), answer_ids=tuple(ids))
        reason = self._drift(row, asked, wrote, hidden, end=end)
        return row if reason is None else Encoded(refused=reason)

    def mismatch(
        self, messages: Sequence[Message], context: Context, answer: Message
    ) -> str | None:
        """Why the template's rendering of prompt and answer is not prompt + answer; else None.

        White space at the ends of the answer does not count: many templates trim it.
        """
        hidden = self._neutral.hidden()
        prompt = hidden.shown(self._prompt(messages, context, hidden))
        whole = hidden.shown(self._whole([*messages, answer], context, hidden))
        if not whole.startswith(prompt):
            at = parting(prompt, whole)
            return (
                f"the chat template renders the prompt differently once the answer follows, "
                f"from character {at}: {prompt[at : at + 40]!r} became {whole[at : at + 40]!r}"
            )
        wrote = hidden.shown(self._answer(answer, hidden)).strip()
        if not whole[len(prompt) :].lstrip().startswith(wrote):
            return "the chat template renders the answer in another way after this prompt"
        return None

    def _drift(
        self, row: Encoded, asked: str, wrote: str, hidden: Hidden, *, end: bool
    ) -> str | None:
        """Why the ids of a row do not say what the rendered prompt and answer say; else None."""
        begin, shown = row.prompt_ids, hidden.shown(asked)
        if self._eye is not None:  # the ids that stand for images are no tokens
            begin, shown = self._border.ids, self._border.before
        answer = hidden.shown(wrote)
        bare = answer.removeprefix(self._lead)
        loosely = hidden.holds_any() or bare != bare.strip()
        text = shown + answer + (self.end_text if end else "")
        return self._border.differs((*begin, *row.answer_ids), text, loosely=loosely)

    # --- native or fallback --------------------------------------------------------------------

    def _prompt(self, messages: Sequence[Message], context: Context, hidden: Hidden) -> str:
        rendered = self._conversation(messages, context, hidden, generate=True)
        return rendered + self._header.removesuffix(self._lead)

    def _ids_of(self, rendered: str, messages: Sequence[Message], hidden: Hidden) -> list[int]:
        """Token ids of a rendered prompt."""
        if self._eye is None:
            return self._neutral.encode(rendered, hidden)
        look = pictures.looking(self._eye, pictures.names(messages))
        ids = self._neutral.encode(rendered, hidden, encode=look.encode)
        look.check()
        return ids

    def _answer_ids(self, rendered: str, hidden: Hidden, end: bool) -> list[int]:
        ids = self._neutral.encode(rendered, hidden, before=self._border.before)
        return [*ids, self.end_id] if end else ids

    def _whole(self, messages: Sequence[Message], context: Context, hidden: Hidden) -> str:
        return self._conversation(messages, context, hidden, generate=False)

    def _conversation(
        self, messages: Sequence[Message], context: Context, hidden: Hidden, *, generate: bool
    ) -> str:
        if pictures.names(messages) and self._eye is None:
            raise Unseen("the conversation holds an image, and this model reads text only")
        messages, mark = pictures.marked(messages)
        if self.native:
            return self._natively(messages, context, hidden, generate=generate, mark=mark)
        rows = [(role, hidden.hide(text)) for role, text in fallback.turns(messages, context)]
        return self._render(self._chat(rows), generate=generate, mark=mark)

    def _ending(self, answer: Message, hidden: Hidden, end: bool) -> str:
        """The answer; without `end`, a last call that broke off stays open, as it was written."""
        if end or not _breaks_off(answer):
            text = self._answer(answer, hidden)
        else:
            text = self._answer(_marked(answer), hidden).rpartition(_CUT)[0]
        return self._lead + text if text else ""

    def _answer(self, answer: Message, hidden: Hidden) -> str:
        if not self.native:
            return hidden.hide(render_answer(answer.parts))
        prompt = (_user("u"),)
        before = self._natively(prompt, Context(), hidden, generate=True) + self._header
        whole = self._natively((*prompt, answer), Context(), hidden, generate=False)
        if not whole.startswith(before) or not whole.endswith(self._tail):
            raise ModelError("the chat template does not render an answer behind its prompt")
        return whole[len(before) : len(whole) - len(self._tail)]

    def _chat(self, rows: list[fallback.Turn]) -> list[dict[str, Any]]:
        if not self._system:
            rows = fallback.without_system(rows)
        if self._alternates:
            rows = fallback.merged(rows)
        return [{"role": role, "content": text} for role, text in rows]

    def _natively(
        self,
        messages: Sequence[Message],
        context: Context,
        hidden: Hidden,
        *,
        generate: bool,
        mark: str = "",
    ) -> str:
        arguments: list[str] = []
        rows = [row for m in messages for row in native.rows_of(m, hidden.hide, arguments)]
        extra = hidden.hide(fallback.offer(context, tools=False))
        if extra:
            rows = native.with_system(rows, extra)
        tools = native.tool_rows(context.tools, hidden.hide)
        rendered = self._render(rows, generate=generate, tools=tools or None, mark=mark)
        return native.with_arguments(rendered, arguments)

    def _render(
        self,
        rows: list[dict[str, Any]],
        *,
        generate: bool,
        tools: list[dict[str, Any]] | None = None,
        mark: str = "",
    ) -> str:
        if self._eye is not None:
            rows = pictures.filled(rows, mark, self._eye.mark, parts=self._parts)
        return self._rendered(rows, tools, generate=generate)

    def _rendered(
        self,
        rows: list[dict[str, Any]],
        tools: list[dict[str, Any]] | None,
        *,
        generate: bool,
    ) -> str:
        from jinja2 import TemplateError

        try:
            return str(
                self._tokenizer.apply_chat_template(
                    rows, tools=tools, tokenize=False, add_generation_prompt=generate
                )
            )
        except (TemplateError, TypeError, ValueError, KeyError) as error:
            raise ModelError(f"the chat template refuses this conversation: {error}") from None

    # --- probes --------------------------------------------------------------------------------

    def _takes_parts(self) -> bool:
        """Whether the template takes content as parts and writes a placeholder for an image."""
        parts = [{"type": "image"}, {"type": "text", "text": "Xparts7X"}]
        try:
            shown = self._rendered([{"role": "user", "content": parts}], None, generate=True)
        except ModelError:
            return False
        mark = self._eye.mark if self._eye is not None else ""
        return mark in shown and "Xparts7X" in shown and "'text'" not in shown

    def _takes(self, rows: list[fallback.Turn], must_hold: str) -> bool:
        chat = [{"role": role, "content": text} for role, text in rows]
        try:
            return must_hold in self._render(chat, generate=True)
        except ModelError:
            return False

    def _frame(self) -> tuple[str, str, str]:
        """A prompt, what stands before an answer beyond its end, and what stands behind one."""
        asked = [{"role": "user", "content": "u"}]
        answered = [*asked, {"role": "assistant", "content": _PROBE_ANSWER}]
        prompt = self._render(asked, generate=True)
        whole = self._render(answered, generate=False)
        if not whole.startswith(prompt) or _PROBE_ANSWER not in whole[len(prompt) :]:
            raise ModelError(
                "the chat template renders a prompt differently once the answer follows, "
                "so answers cannot be trained on; use a template that keeps its prefix"
            )
        header, _, tail = whole[len(prompt) :].partition(_PROBE_ANSWER)
        return prompt, header, tail

    def _is_native(self) -> bool:
        tool = ToolSpec(name="probe_tool", parameters='{"type": "object"}')
        call = ToolCall(name="probe_tool", arguments='{"broken: ')
        answer = Message(role="assistant", parts=(Part(kind="call", call=call),))
        result = ToolResult(text="Xresult7X", name="probe_tool", call_id="call_0")
        back = Message(role="tool", parts=(Part(kind="result", result=result),))
        context = Context(tools=(tool,))
        hidden = self._neutral.hidden()
        try:
            offered = self._natively((_user("u"),), context, hidden, generate=True)
            wrote = self._answer_probe(answer, hidden)
            after = self._natively((_user("u"), answer, back), context, hidden, generate=True)
        except ModelError:
            return False
        read = tuple(p.call for p in parse_answer(wrote) if p.call is not None)
        return "probe_tool" in offered and read == (call,) and "Xresult7X" in after

    def _answer_probe(self, answer: Message, hidden: Hidden) -> str:
        self.native = True
        try:
            return self._answer(answer, hidden)
        finally:
            self.native = False


def _breaks_off(answer: Message) -> bool:
    """The answer ends in a call whose arguments are not complete JSON."""
    call = answer.parts[-1].call if answer.parts else None
    if call is None:
        return False
    try:
        orjson.loads(call.arguments)
    except orjson.JSONDecodeError:
        return True
    return False


def _marked(answer: Message) -> Message:
    """The answer with a mark behind the arguments of its last call."""
    *before, last = answer.parts
    if last.call is None:
        return answer
    call = replace(last.call, arguments=last.call.arguments + _CUT)
    return replace(answer, parts=(*before, replace(last, call=call)))


def _user(text: str) -> Message:
    return Message(role="user", parts=(Part(kind="text", text=text),))
