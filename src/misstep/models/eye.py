"""A model's eye: how an image becomes token ids and arrays, through the model's own processor.

In: a processor, the folder of a run's images, names of images. Out: placeholder tokens and the
inputs of the vision tower. In token ids each placeholder of an image is a number of its own, its
stand-in, made from the image's name and the place in it. So equal ids mean equal input: what shares
beginnings, keys draws, caches or tells rows apart by their ids stays right, and prompts over
different images share nothing behind the first one. `sight` reads stand-ins; no model is shown one.

An image is never cut. Text that spells a placeholder is no placeholder (`template` sees to that).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from misstep.errors import ExtraMissing, ModelError
from misstep.models.images import Gallery, gallery, open_image, scaled

STAND_IN = 1 << 62
"""Stand-ins are at least this; token ids are far below."""
_PLACE_BITS = 17
PLACES = (1 << _PLACE_BITS) - 1
"""Placeholders of one image at most, and the mask of the place in a stand-in."""

_WORDS = (
    "input_ids",
    "attention_mask",
    "token_type_ids",
    "mm_token_type_ids",
    "labels",
    "text_replacement_offsets",
)
"""What a processor makes of text; the rest it makes of images."""
_NAMES: dict[int, str] = {}
"""Images by the number in their stand-ins. One table, so that ids which one eye gives are read by
another: a prompt is rendered before the model that answers it is loaded."""

Typed = Literal["none", "images", "prefix", "modes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One image as the model's processor gives it."""

    text: str
    """What stands for it in a rendered prompt, placeholders and the tokens around them."""
    inputs: dict[str, Any]
    """Arguments of the vision tower, the first dimension over images, tiles or patches."""
    count: int
    """Placeholders in `text`."""


class Unseen(ModelError):
    """An image that cannot be shown to the model."""


class Eye:
    """How one processor looks at images.

    Args:
        processor: of transformers, with a tokenizer and an image processor.
        images: where images are kept, perhaps with how large they are seen; None refuses all.

    Raises:
        ModelError: the processor has no placeholder token for images.
    """

    def __init__(self, processor: Any, images: Gallery | Path | None) -> None:
        self.processor = processor
        self.folder, self._most = gallery(images)
        self.sample = f"sample {uuid4()}"
        """Name of a picture that stands in no log, to try a model with."""
        self._texts: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self.mark = str(_attribute(processor, "image_token"))
        """Spelling of what a chat template writes for an image."""
        probe = self._processed(_picture())
        text = _replacement(probe, processor)
        self.placeholder = _placeholder(processor, self._ids(text))
        """Token id at which the model puts a piece of an image."""
        self.typed: Typed = _typed(probe, processor)
        """How the model tells tokens apart: not, images from text, prompt from answer, or by mode
        (`mm_token_type_ids`, from which it works out positions in two dimensions)."""
        self.spellings = _spellings(processor, text)
        """Tokens that only an image may become."""

    # --- token ids -----------------------------------------------------------------------------

    def encode(self, text: str, names: Sequence[str]) -> list[int]:
        """Token ids of a rendered text in which each `mark` is the next image of `names`.

        Raises:
            Unseen: an image cannot be shown to the model.
        """
        pieces = text.split(self.mark)
        shown = [self._shown(name) for name in names]
        whole = pieces[0] + "".join(a + b for a, b in zip(shown, pieces[1:], strict=True))
        ids = self._ids(whole)
        counts = [self._count(each) for each in shown]
        if ids.count(self.placeholder) != sum(counts):
            raise ModelError("the tokenizer does not keep the placeholders of images apart")
        places = iter(
            stand_in
            for name, count in zip(names, counts, strict=True)
            for stand_in in self._stand_ins(name, count)
        )
        return [next(places) if i == self.placeholder else i for i in ids]

    def name_of(self, stand_in: int) -> str:
        """The image that a stand-in belongs to."""
        return _NAMES[stand_in >> _PLACE_BITS]

    def _stand_ins(self, name: str, count: int) -> list[int]:
        if count > PLACES:
            raise Unseen(f"an image takes {count} tokens, at most {PLACES} are read")
        key = _numbered(name)
        return [key << _PLACE_BITS | place for place in range(count)]

    def _count(self, text: str) -> int:
        if text not in self._counts:
            self._counts[text] = self._ids(text).count(self.placeholder)
        return self._counts[text]

    def _ids(self, text: str) -> list[int]:
        tokenizer = self.processor.tokenizer
        return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    # --- images --------------------------------------------------------------------------------

    def look(self, name: str) -> Look:
        """The image as its processor gives it.

        Raises:
            Unseen: it cannot be opened, or the processor refuses it.
        """
        given = self._processed(_picture() if name == self.sample else self._opened(name))
        text = _replacement(given, self.processor)
        self._texts[name] = text
        inputs = {k: v for k, v in given.items() if k not in _WORDS}
        return Look(text=text, inputs=inputs, count=self._count(text))

    def _opened(self, name: str) -> Any:
        if self.folder is None:
            raise Unseen("the prompt holds an image, and no folder of images is given")
        found = open_image(self.folder, name)
        if isinstance(found, str):
            raise Unseen(f"an image of the prompt cannot be shown: {found}")
        return scaled(found, self._most)

    def _shown(self, name: str) -> str:
        known = self._texts.get(name)
        return known if known is not None else self.look(name).text

    def _processed(self, picture: Any) -> dict[str, Any]:
        from transformers.utils import logging

        level = logging.get_verbosity()
        logging.set_verbosity_error()
        try:
            given = self.processor(
                images=[picture],
                text=[self.mark],
                add_special_tokens=False,
                return_tensors="pt",
                return_text_replacement_offsets=True,
            )
        except (ValueError, TypeError, RuntimeError, IndexError, ZeroDivisionError) as error:
            raise Unseen(f"the model's processor refuses an image: {error}") from None
        except ImportError as error:
            raise _missing(error) from None
        finally:
            logging.set_verbosity(level)
        return dict(given)


def shown_in(prompts: Iterable[Sequence[int]]) -> tuple[str, ...]:
    """Names of the images that stand in prompts."""
    keys = {i >> _PLACE_BITS: None for prompt in prompts for i in prompt if i >= STAND_IN}
    return tuple(_NAMES[key] for key in keys)


def know(names: Iterable[str]) -> None:
    """Hear of images that stand in prompts which another process rendered."""
    for name in names:
        _numbered(name)


def _numbered(name: str) -> int:
    """The number in the stand-ins of an image; it is known by it from here on."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    key = (STAND_IN >> _PLACE_BITS) | int.from_bytes(digest, "big") >> 20
    if _NAMES.setdefault(key, name) != name:
        raise ModelError(f"{name}: its number is that of {_NAMES[key]}")
    return key


def load_eye(folder: Path, images: Gallery | Path | None, name: str) -> Eye:
    """The eye of the model in a folder.

    Raises:
        ModelError: the processor cannot be loaded or used.
        ExtraMissing: it needs a package that is not installed.
    """
    from transformers import AutoProcessor

    try:
        processor = AutoProcessor.from_pretrained(folder, trust_remote_code=False)
    except ImportError as error:
        raise _missing(error) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{name}: its processor cannot be loaded ({error})") from None
    own = processor.chat_template
    own = own.get("default") if isinstance(own, dict) else own
    if own:  # a tokenizer beside it may still have the one of its language model
        processor.tokenizer.chat_template = own
    return Eye(processor, images)


def sees(folder: Path) -> bool:
    """Whether the model in a folder takes images beside text, by its configuration."""
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as KNOWN,
    )

    files = ("processor_config.json", "preprocessor_config.json")
    if not any((folder / file).is_file() for file in files):
        return False
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError):
        return False
    return config.model_type in KNOWN


def _missing(error: ImportError) -> ExtraMissing:
    said = str(error).lower()
    for package in ("torchvision", "num2words"):
        if package in said:
            return ExtraMissing("vision", f"{package}, for this model's processor")
    return ExtraMissing("ocr", "Pillow, for this model's processor")


def _replacement(given: dict[str, Any], processor: Any) -> str:
    """What the processor writes for the one image that it was given."""
    found = given.get("text_replacement_offsets")
    if not found or not found[0]:
        raise ModelError(
            f"{type(processor).__name__} does not say what it writes for an image; "
            "pip install -U transformers, or give another model"
        )
    return str(found[0][0]["replacement"])


def _attribute(processor: Any, name: str) -> Any:
    value = getattr(processor, name, None)  # as transformers asks for it
    if value is None:
        raise ModelError(
            f"{type(processor).__name__} has no {name}: it names no placeholder for images; "
            "give a model whose processor does"
        )
    return value


def _picture() -> Any:
    """A small picture with something on it."""
    from PIL import Image

    return Image.linear_gradient("L").resize((96, 64)).convert("RGB")


def _placeholder(processor: Any, ids: Sequence[int]) -> int:
    """The token that is repeated: a processor may name another one, which begins an image."""
    known = [i for i in processor.image_token_ids if i in ids]
    return max(known or ids, key=list(ids).count)


def _typed(probe: dict[str, Any], processor: Any) -> Typed:
    types = probe.get("token_type_ids")
    if types is None:
        return "modes" if "mm_token_type_ids" in probe else "none"
    return "images" if bool((types == 1).any()) else "prefix"


def _spellings(processor: Any, text: str) -> tuple[str, ...]:
    added = (token.content for token in processor.tokenizer.added_tokens_decoder.values())
    found = {each for each in added if each.strip() and each in text}
    return tuple(sorted({*found, *map(str, processor.all_special_multimodal_tokens)}))
