"""The small tokenizer of the OCR laboratory's models: one token a character, and few pieces more.

Pieces: the separators of the page schema's JSON text (so a page costs about as many tokens as it
has characters), the control tokens of the chat template, the image token. The template leaves
system text out, as the templates of models that were trained without any do: spelled by characters
an instruction would cost more than a page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parts.ocr_text import ALPHABET

IMAGE, BOS, END, PAD, UNK = "<image>", "<s>", "<|end|>", "<pad>", "<unk>"
CONTROL = (PAD, BOS, END, UNK, IMAGE, "<|user|>", "<|assistant|>")
PIECES = (
    '{"header": "',
    '{"text": "',
    '", "text": "',
    '", "footer": "',
    '", "margin": "',
    '"}',
    "\\n",
)
ELSE = '"\\{}:|~^`<>' + "\n"
"""Characters that no page has and a broken answer may."""

TEMPLATE = (
    "<s>{% for message in messages %}"
    "{% if message['role'] == 'user' %}<|user|>"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|end|>"
    "{% elif message['role'] == 'assistant' %}<|assistant|>"
    "{% generation %}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{{ part['text'] }}{% endfor %}{% endif %}<|end|>"
    "{% endgeneration %}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def tokenizer(more: Mapping[str, str] | None = None) -> Any:
    """A fast tokenizer with the chat template; `more` are further control tokens by their names."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = dict.fromkeys(ALPHABET + ELSE)
    more = dict(more or {})
    control = (*CONTROL, *more.values())
    vocab = {token: n for n, token in enumerate((*control, *PIECES, *letters))}
    made = Tokenizer(models.WordLevel(vocab, unk_token=UNK))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    made.decoder = decoders.Fuse()
    made.add_tokens([AddedToken(piece, normalized=False, special=False) for piece in PIECES])
    made.add_special_tokens([AddedToken(each, normalized=False, special=True) for each in control])
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token=BOS,
        eos_token=END,
        pad_token=PAD,
        unk_token=UNK,
        padding_side="left",
        model_max_length=4096,
        clean_up_tokenization_spaces=False,
        chat_template=TEMPLATE,
        extra_special_tokens={"image_token": IMAGE, **more},
    )
