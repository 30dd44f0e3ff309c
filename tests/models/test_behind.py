"""Tokenizers that put a space before a text: an answer is encoded behind its prompt."""

import json
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="needs the train extra")

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)
from transformers import LlamaTokenizer, PreTrainedTokenizerFast

from misstep.models import Template, load, sample
from misstep.models.behind import Behind
from misstep.train.places import places
from misstep.types import Context, Mark, Message, Part
from strategies import texts
from tiny import CHATML, build_tiny, build_tokenizer

NOTHING = Context()
LINES = (
    "What is the weather in Oslo tomorrow? Look it up and answer in one short sentence.",
    '<tool_call> {"name": "look_up", "arguments": {"city": "Oslo", "days": 3}} </tool_call>',
    "error: missing required argument 'unit'",
    "system user assistant tool arguments name description parameters type object properties",
)
ZEPHYR = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] + eos_token + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
"""Role marks are plain text."""
LLAMA2 = (
    "{% for m in messages %}{% if m['role'] != 'assistant' %}"
    "{{ bos_token + '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'] + ' ' + eos_token }}{% endif %}{% endfor %}"
)
"""A space stands between prompt and answer."""
MISTRAL = LLAMA2.replace(" [/INST]", "[/INST]")
"""The same; its marks are added tokens here."""
PHI = ZEPHYR.replace("eos_token", "'<|end|>'")
"""Its marks are added tokens that swallow the white space behind them."""
TEMPLATES = {"zephyr": ZEPHYR, "llama2": LLAMA2, "mistral": MISTRAL, "phi": PHI, "chatml": CHATML}
MARKS = {
    "mistral": ("[INST]", "[/INST]"),
    "phi": ("<|user|>", "<|assistant|>", "<|system|>", "<|end|>"),
    "chatml": ("<|im_start|>", "<|im_end|>"),
}
KINDS = (
    "prepend",
    "first",
    "always",
    "never",
    "llama",
    "llama-legacy",
    "byte-level",
    "byte-level-prefix",
)
SENTENCE_PIECE = KINDS[:-2]
SCHEMES = {"always": "always", "never": "never"}


def said(role, text):
    return Message(role=role, parts=(Part(kind="text", text=text),))


ASKED = (said("user", "What is the weather in Oslo?"),)


def byte_level(kind, lines):
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=kind.endswith("prefix"))
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<unk>", "<s>", "</s>"],
    )
    made.train_from_iterator(lines, trainer)
    return made


def sentence_piece(kind, lines):
    """As tokenizer.json files of the Llama family are: bytes for what the vocabulary lacks."""
    made = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        show_progress=False,
        special_tokens=["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256))],
    )
    made.train_from_iterator(lines, trainer)
    raw = json.loads(made.to_str())
    raw["added_tokens"] = raw["added_tokens"][:3]  # bytes are in the vocabulary, no added tokens
    raw["pre_tokenizer"] = raw["pre_tokenizer"] if kind != "prepend" else None
    made = Tokenizer.from_str(json.dumps(raw))
    if kind == "prepend":
        steps = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        made.normalizer = normalizers.Sequence(steps)
    else:
        made.pre_tokenizer = pre_tokenizers.Metaspace(
            prepend_scheme=SCHEMES.get(kind, "first"), split=False
        )
    strip = [decoders.Strip(" ", 1, 0)] if kind != "never" else []
    joined = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    made.decoder = decoders.Sequence(joined)
    return made


def tokenizer_of(kind, template, lines=LINES):
    made = (byte_level if kind.startswith("byte") else sentence_piece)(kind, lines)
    if kind.startswith("llama"):
        raw = json.loads(made.to_str())["model"]
        tokenizer = LlamaTokenizer(
            vocab=raw["vocab"],
            merges=[tuple(merge) for merge in raw["merges"]],
            legacy=kind == "llama-legacy",
        )
    else:
        ends = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, **ends)
    added = [
        AddedToken(mark, rstrip=template == "phi", normalized=False, special=True)
        for mark in MARKS.get(template, ())
    ]
    tokenizer.add_tokens(added)
    tokenizer.chat_template = TEMPLATES[template]
    return tokenizer


def ids_of(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def decoded(tokenizer, ids):
    return tokenizer.decode(ids, clean_up_tokenization_spaces=False)


@pytest.fixture(scope="module", params=[(k, t) for k in KINDS for t in TEMPLATES], ids="-".join)
def template(request):
    return Template(tokenizer_of(*request.param))


def row_of(template, answer, end=True):
    row = template.encode(ASKED, NOTHING, answer=answer, end=end)
    assert row.refused is None
    assert list(row.prompt_ids) == template.prompt_ids(ASKED, NOTHING)
    assert list(row.answer_ids) == template.answer_ids(answer, end)
    return row


# --- answers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["Look it up", '{"name": "look_up"}', "{", "ø ☃", "3 days", "a  b\n\n c", "Osl"]
)
def test_a_row_is_what_the_tokenizer_makes_of_the_rendered_whole(template, text):
    answer = said("assistant", text)
    row = row_of(template, answer)
    whole = template.prompt_text(ASKED, NOTHING) + template.answer_text(answer)
    assert [*row.prompt_ids, *row.answer_ids] == ids_of(template._tokenizer, whole)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts.filter(lambda text: text == text.strip() and text))
def test_any_text_makes_the_row_of_the_whole(template, text):
    answer = said("assistant", text)
    row = row_of(template, answer)
    whole = template.prompt_text(ASKED, NOTHING) + template.answer_text(answer)
    assert [*row.prompt_ids, *row.answer_ids] == ids_of(template._tokenizer, whole)
    assert template.read(row.answer_ids[:-1]) == text


@pytest.mark.parametrize("kind", SENTENCE_PIECE)
def test_a_token_across_the_border_is_taken_apart_and_no_space_comes_in(kind):
    tokenizer = tokenizer_of(kind, "zephyr", (*LINES, *['|>\n{"name": ' + line for line in LINES]))
    template = Template(tokenizer)
    answer = said("assistant", '{"name": 3}')
    row = row_of(template, answer)
    text = template.prompt_text(ASKED, NOTHING) + template.answer_text(answer)
    whole = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    border = len(template.prompt_text(ASKED, NOTHING))
    assert any(a < border < b for a, b in whole["offset_mapping"])
    ids = [*row.prompt_ids, *row.answer_ids]
    assert decoded(tokenizer, ids) == decoded(tokenizer, whole["input_ids"])
    assert tokenizer.convert_ids_to_tokens(row.answer_ids[0])[0] == "{"


def test_a_space_that_the_template_writes_before_an_answer_is_of_the_answer():
    template = Template(tokenizer_of("llama", "llama2"))
    assert template.prompt_text(ASKED, NOTHING).endswith("[/INST]")
    assert template.answer_text(said("assistant", "Oslo")) == " Oslo</s>"
    tokens = template._tokenizer.convert_ids_to_tokens
    assert tokens(template.answer_ids(said("assistant", "Oslo"))) == ["▁Oslo", "</s>"]
    assert template.answer_ids(said("assistant", "")) == [template.end_id]


def test_byte_level_tokenizers_are_asked_for_the_answer_alone():
    tokenizer = build_tokenizer()
    assert not Behind(tokenizer).prefixes
    template = Template(tokenizer)
    for text in ("Look", " Look", "\nLook", "{", "ø"):
        assert template.answer_ids(said("assistant", text), end=False) == ids_of(tokenizer, text)


# --- spellings of control tokens ---------------------------------------------------------------


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(["</s>", "<s>", "</", "s>", "up", " ", "[/INST]"]) | texts, max_size=5)
    .map("".join)
    .filter(lambda text: text == text.strip() and "</s>" in text)
)
def test_a_hidden_spelling_is_given_back_and_is_no_control_token(template, text):
    answer = said("assistant", text)
    row = row_of(template, answer)
    control = template._neutral.ids
    assert [i for i in row.answer_ids if i in control] == [template.end_id]
    assert template.read(row.answer_ids[:-1]) == text
    asked = template.prompt_ids([said("user", f"x{text}x")], NOTHING)
    plain = template.prompt_ids([said("user", "x")], NOTHING)
    assert [i for i in asked if i in control] == [i for i in plain if i in control]
    assert f"x{text}x" in decoded(template._tokenizer, asked)


# --- places ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["Look it up in Oslo", "up </s> it, Oslo", "ø ☃ Oslo"])
def test_a_marked_word_is_the_tokens_that_write_it(template, text):
    answer, at = said("assistant", text), text.index("Oslo")
    spans, ids = template.answer_spans(answer), template.answer_ids(answer)
    assert len(spans) == len(ids)
    assert all(a[0] <= b[0] for a, b in pairwise(spans))
    mark = Mark(side="rejected", code="wrong", channel="content", span=(at, at + 4))
    found = places((answer, answer), [mark], template, cut=False).rejected
    assert decoded(template._tokenizer, [ids[n] for n in found]).strip() == "Oslo"
    assert decoded(template._tokenizer, ids[found[-1] + 1 :]) == template.end_text


# --- what the model writes ---------------------------------------------------------------------


@pytest.mark.parametrize("text", ["Look it up", " Look", "  Look", "\nLook", "{", "☃"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_written_behind_a_prompt_is_encoded_as_it_was_written(kind, text):
    template = Template(tokenizer_of(kind, "zephyr"))
    ids = ids_of(template._tokenizer, template.prompt_text(ASKED, NOTHING) + text)
    body = ids[len(template.prompt_ids(ASKED, NOTHING)) :]
    assert template.read(body) == text
    answer = template.parse(template.read(body), NOTHING)
    assert template.answer_ids(answer, end=False) == body


def test_half_a_character_at_the_start_of_an_answer_is_read():
    template = Template(tokenizer_of("first", "zephyr"))
    snow = template.answer_ids(said("assistant", "☃"), end=False)
    assert template.read(snow[1:]) == "��"


def test_a_sampled_answer_is_read_with_its_first_space(tmp_path):
    tokenizer = tokenizer_of("first", "zephyr")
    folder = build_tiny(tmp_path / "tiny", vocab_size=len(tokenizer))
    tokenizer.save_pretrained(folder)
    loaded = load(str(folder))
    prompt = loaded.template.prompt_ids(ASKED, NOTHING)
    answers = sample(loaded, [prompt], num_generations=64, max_new_tokens=3, temperature=2.0)[0]
    shown = decoded(tokenizer, prompt)
    spaced = 0
    for answer in answers:
        body = answer.ids[:-1] if answer.finish_reason == "stop" else answer.ids
        row = decoded(tokenizer, [*prompt, *body])
        if row.startswith(shown):  # else it begins with a part of a character
            assert row == shown + answer.text
            spaced += answer.text.startswith(" ")
    assert spaced


# --- the check ---------------------------------------------------------------------------------


def test_a_row_that_says_something_else_than_the_rendered_text_is_refused(monkeypatch):
    template = Template(tokenizer_of("llama", "zephyr"))
    monkeypatch.setattr(Behind, "ids", lambda self, text, before, encode=None: self.alone(text))
    row = template.encode(ASKED, NOTHING, answer=said("assistant", "Look it up"))
    assert row.reason == "template"
    assert row.refused == (
        "the tokenizer encodes prompt and answer otherwise than the whole, from character 56: "
        "'Look it up</s>' became ' Look it up</s>'"
    )


def test_a_tokenizer_that_normalises_is_no_reason():
    made = sentence_piece("first", LINES)
    made.normalizer = normalizers.NFKC()
    ends = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    template = Template(
        PreTrainedTokenizerFast(tokenizer_object=made, chat_template=ZEPHYR, **ends)
    )
    for text in ("ﬁne", "½ </s> ﬁ"):
        assert template.encode(ASKED, NOTHING, answer=said("assistant", text)).refused is None
