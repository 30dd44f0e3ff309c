"""What a model sees: token ids with stand-ins for images become embeddings.

In: a model, its eye, token ids in which stand-ins (`eye`) mark the places of images. Out:
embeddings in which those places hold what the model's own vision tower and connector make of the
image, or a call of the whole model for architectures that read images in a way of their own.

A tower that is not trained gives the same for an image each time, so it is asked once and its
answer kept, up to `_KEPT_BYTES`. Imported lazily: needs torch and transformers.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from transformers.modeling_outputs import BaseModelOutputWithPast

from misstep.models.eye import PLACES, STAND_IN, Eye

_KEPT_BYTES = 1_000_000_000
"""What the tower said about images that were met before, all together."""
_TOGETHER = 16
"""Images that go through the tower at once."""
_ALIKE = {torch.float32: 1e-3, torch.float64: 1e-6}
"""Largest difference of two readings of the same, in standard deviations of its states."""

Way = Literal["decoder", "rows", "whole"]
"""How rows are read: by the language model alone, which needs nothing but embeddings (so what rows
share can be read once); by the whole model on embeddings, images still seen once; or by the whole
model on its own inputs, each row with its images."""


class Sight:
    """One model with its eye."""

    def __init__(self, network: Any, eye: Eye) -> None:
        self.network = network
        self.eye = eye
        self.decoder = network.get_decoder()
        self._kept: OrderedDict[str, Any] = OrderedDict()
        self._shapes: dict[str, dict[str, Any]] = {}
        self._bytes = self._version = 0
        self._way: Way | None = None

    @property
    def way(self) -> Way:
        """The thriftiest way that gives what the whole model gives, found out by a try."""
        if self._way is None:
            self._way = self._tried()
        return self._way

    # --- the side of the text model: what `shared`, `plain` and `logps` need -------------------

    @property
    def config(self) -> Any:
        """That of the language model."""
        return self.decoder.config

    @property
    def device(self) -> Any:
        """Where the weights are."""
        return self.decoder.device

    @property
    def dtype(self) -> Any:
        """Of the weights."""
        return self.decoder.dtype

    @property
    def generation_config(self) -> Any:
        """That of the whole model."""
        return self.network.generation_config

    def get_output_embeddings(self) -> Any:
        """The head of the whole model."""
        return self.network.get_output_embeddings()

    def base_model(self, *, input_ids: Any, **given: Any) -> Any:
        """The language model alone on ids with stand-ins; the caller gives positions and a mask."""
        return self.decoder(inputs_embeds=self.embed(input_ids), **given)

    # --- whole rows ----------------------------------------------------------------------------

    def states(self, ids: Any, mask: Any, prompts: Sequence[int]) -> Any:
        """[rows, length, width] hidden states of rows padded on the right, each a prompt and more.

        Args:
            ids: [rows, length], with stand-ins.
            mask: [rows, length], 0 where a row is padded.
            prompts: tokens of each row's prompt.
        """
        given = self.given(ids, prompts)
        out = self.network.base_model(attention_mask=mask, use_cache=False, **given)
        return out.last_hidden_state

    def given(self, ids: Any, prompts: Sequence[int]) -> dict[str, Any]:
        """What the whole model takes for such rows, `attention_mask` apart."""
        seen = ids >= STAND_IN
        whole = self.way == "whole" or self.eye.typed == "modes"
        given = self._inputs(ids, seen) if whole else {"inputs_embeds": self.embed(ids)}
        if self.eye.typed == "prefix":
            places = torch.arange(ids.shape[1], device=ids.device)[None]
            ends = torch.tensor(list(prompts), device=ids.device)[:, None]
            given["token_type_ids"] = (places >= ends).long()
        elif self.eye.typed != "none":
            name = "token_type_ids" if self.eye.typed == "images" else "mm_token_type_ids"
            given[name] = seen.long()
        return given

    def positions(self, rows: Sequence[Sequence[int]]) -> list[Any] | None:
        """[axes, length] of each row, where the model places tokens on several axes; else None.

        An answer's tokens, which follow all images, are placed as the model places them.
        """
        if self.eye.typed != "modes":
            return None
        found = []
        for row in rows:
            ids = torch.tensor([list(row)], device=self.device)
            seen = ids >= STAND_IN
            given = self._inputs(ids, seen, pixels=False)
            with torch.no_grad(), _mirror(self.decoder) as met:
                self.network.base_model(
                    mm_token_type_ids=seen.long(),
                    attention_mask=torch.ones_like(ids),
                    use_cache=False,
                    **given,
                )
            placed = met.get("position_ids")
            if placed is None:  # no image: all axes alike
                placed = torch.arange(ids.shape[1], device=self.device).expand(3, 1, -1)
            found.append(placed[:, 0])
        return found

    def _inputs(self, ids: Any, seen: Any, *, pixels: bool = True) -> dict[str, Any]:
        """Token ids and the images themselves, or only their shapes, in the order of the rows."""
        names = [self.eye.name_of(i) for i in ids[seen].tolist() if not i & PLACES]
        looks = [self.eye.look(name).inputs if pixels else self._shape(name) for name in names]
        keys = looks[0] if looks else ()
        images = {key: self._moved(_stacked([look[key] for look in looks])) for key in keys}
        return {"input_ids": ids.masked_fill(seen, self.eye.placeholder), **images}

    def _shape(self, name: str) -> dict[str, Any]:
        if name not in self._shapes:
            given = self.eye.look(name).inputs
            self._shapes[name] = {k: v for k, v in given.items() if not k.startswith("pixel")}
        return self._shapes[name]

    @torch.no_grad()
    def _tried(self) -> Way:
        plain = self.eye.encode(self.eye.mark, [self.eye.sample])
        special = {
            *self.eye.processor.image_token_ids,
            *self.eye.processor.tokenizer.all_special_ids,
        }
        words = [i for i in range(len(self.eye.processor.tokenizer)) if i not in special][:16]
        ids = torch.tensor([[*plain, *words[:8], *plain, *words[8:]]], device=self.device)
        mask, size = torch.ones_like(ids), ids.shape[1] - 4
        training = self.network.training
        self.network.eval()
        self._way = "whole"
        whole = self.states(ids, mask, [size])
        limit = _ALIKE.get(whole.dtype, 0.1) * float(whole.std())
        modes = self.eye.typed == "modes"
        try:
            self._way = "rows"
            if not modes and _apart(self.states(ids, mask, [size]), whole) > limit:
                return "whole"
            if self.eye.typed in ("images", "prefix"):
                return "rows"
            own = self.positions(ids.tolist())
            places = torch.arange(ids.shape[1], device=self.device)[None]
            given = {"position_ids": places if own is None else own[0][:, None]}
            alone = self.base_model(input_ids=ids, use_cache=False, **given)[0]
            if _apart(alone, whole) <= limit:
                return "decoder"
            return "whole" if modes else "rows"
        except (TypeError, ValueError, RuntimeError):
            return "whole"
        finally:
            self.network.train(training)

    # --- embeddings ----------------------------------------------------------------------------

    def embed(self, ids: Any) -> Any:
        """[rows, length] ids with stand-ins to [rows, length, width]."""
        seen = ids >= STAND_IN
        words = self.decoder.get_input_embeddings()(ids.masked_fill(seen, 0))
        if not bool(seen.any()):
            return words
        here = ids[seen]
        first = here - (here & PLACES)
        images, which = torch.unique(first, return_inverse=True)
        names = [self.eye.name_of(int(image)) for image in images]
        found = self._features(names)
        starts = torch.tensor([0, *(len(found[name]) for name in names[:-1])]).cumsum(0)
        table = torch.cat([found[name] for name in names]).to(words.dtype)
        rows = starts.to(ids.device)[which] + (here & PLACES)
        return words.masked_scatter(seen[..., None], table.index_select(0, rows))

    def _features(self, names: Sequence[str]) -> dict[str, Any]:
        """What the tower makes of each image, [placeholders, width]."""
        outside = self._outside()
        if torch.is_grad_enabled() and any(p.requires_grad for p in outside):
            return self._fresh(names)
        version = sum(p._version for p in outside)
        if version != self._version:  # the tower has learned since
            self._kept.clear()
            self._bytes, self._version = 0, version
        missing = [name for name in names if name not in self._kept]
        with torch.inference_mode(False), torch.no_grad():  # what is kept may meet a backward pass
            fresh = self._fresh(missing)
        found = {name: fresh[name] if name in fresh else self._kept[name] for name in names}
        for name in names:
            self._keep(name, found[name])
        return found

    def _keep(self, name: str, value: Any) -> None:
        if name in self._kept:
            self._kept.move_to_end(name)
            return
        self._kept[name] = value.detach()
        self._bytes += value.nbytes
        while self._bytes > _KEPT_BYTES and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes

    def _outside(self) -> list[Any]:
        """Weights of the tower and the connector: all but the language model's and the head's."""
        sides = (self.decoder, self.get_output_embeddings())
        own = {id(p) for side in sides for p in side.parameters()}
        return [p for p in self.network.parameters() if id(p) not in own]

    def _fresh(self, names: Sequence[str]) -> dict[str, Any]:
        looks = {name: self.eye.look(name) for name in names}
        alike: dict[tuple[Any, ...], list[str]] = {}
        for name, look in looks.items():
            shapes = tuple((key, tuple(value.shape)) for key, value in look.inputs.items())
            alike.setdefault((look.text, shapes), []).append(name)
        found: dict[str, Any] = {}
        for group in alike.values():
            for at in range(0, len(group), _TOGETHER):
                part = group[at : at + _TOGETHER]
                inputs = [looks[name].inputs for name in part]
                rows = self._seen(inputs, looks[part[0]].count)
                found.update(zip(part, rows, strict=True))
        return found

    def _seen(self, inputs: Sequence[dict[str, Any]], count: int) -> Any:
        """[images, count, width] for images of the same shape."""
        given = {key: torch.cat([each[key] for each in inputs]) for key in inputs[0]}
        given = {key: self._moved(value) for key, value in given.items()}
        ids = torch.full((len(inputs), count), self.eye.placeholder, device=self.device)
        with _mirror(self.decoder):
            return self.network.base_model(input_ids=ids, use_cache=False, **given)[0]

    def _moved(self, value: Any) -> Any:
        moved = value.to(self.device)
        return moved.to(self.dtype) if moved.is_floating_point() else moved


def _apart(one: Any, other: Any) -> float:
    return float((one - other).abs().max())


def _stacked(values: Sequence[Any]) -> Any:
    """Arrays of several images as one, padded where images have more tiles or are larger."""
    sizes = [max(value.shape[at] for value in values) for at in range(1, values[0].dim())]
    padded = []
    for value in values:
        room = [size - have for size, have in zip(sizes, value.shape[1:], strict=True)]
        pads = [pad for more in reversed(room) for pad in (0, more)]
        padded.append(torch.nn.functional.pad(value, pads))
    return torch.cat(padded)


@contextmanager
def _mirror(decoder: Any) -> Iterator[dict[str, Any]]:
    """The language model gives its input embeddings back; what else it was given is noted."""
    met: dict[str, Any] = {}

    def given_back(*_: Any, inputs_embeds: Any, **named: Any) -> Any:
        met.update(named)
        return BaseModelOutputWithPast(last_hidden_state=inputs_embeds)

    before = vars(decoder).get("forward")
    decoder.forward = given_back
    try:
        yield met
    finally:
        if before is None:
            del decoder.forward
        else:
            decoder.forward = before
