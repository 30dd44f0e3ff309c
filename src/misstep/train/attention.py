"""Attention over a `tree.Tree`: each token sees its own ancestors.

Registered with transformers under `NAME`; a model that runs it takes the tree's `ends` [1, 1, 1, N]
as its 4D `attention_mask`, from which everything else follows. Three ways give the same numbers,
chosen at run time by the device (`way`):

- `pieces`, on a CPU: PyTorch's own CPU kernel on each long run and each block of small branches,
  then on each run with all that descends from it. Parts of one softmax are put together by their
  log-sums, so nothing is computed that nobody sees, and no key is copied for a branch.
- `flex`, on CUDA: FlexAttention with a block mask. Its values are tested on a CPU; on CUDA it has
  not been run.
- `dense`, elsewhere: SDPA under a mask of all pairs of tokens.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.weak import WeakTensorKeyDictionary
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import repeat_kv

from misstep.train.tree import pieces, sees

NAME = "misstep_tree"
Way = Literal["pieces", "flex", "dense"]

_kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default
_kernel_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward.default
_known: Any = WeakTensorKeyDictionary()
"""What was worked out for a tree, by its `ends`: every layer asks for the same."""


def way(device: str) -> Way:
    """How trees are read on this kind of device."""
    if device == "cuda":
        return "flex"
    return "pieces" if device == "cpu" else "dense"


def tree_attention(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **options: Any
) -> tuple[Any, None]:
    """query [1, H, N, D], key and value [1, H / groups, N, D] -> [1, N, H, D].

    There is no dropout: that of a base is off while it is trained (`dropout`).
    """
    kind = query.device.type
    if torch.is_autocast_enabled(kind):
        wanted = torch.get_autocast_dtype(kind)
        query, key, value = (side.to(wanted) for side in (query, key, value))
    compute = {"pieces": by_pieces, "flex": by_flex, "dense": by_mask}[way(kind)]
    scale = options.get("scaling") or query.shape[-1] ** -0.5
    return compute(query, key, value, attention_mask, scale).transpose(1, 2), None


def switch(model: Any, on: bool) -> None:
    """Let the model use it, or PyTorch's plain attention again."""
    if on and model.config._attn_implementation != NAME:
        AttentionInterface.register(NAME, tree_attention)
        model.set_attn_implementation(NAME)
    elif not on and model.config._attn_implementation == NAME:
        model.set_attn_implementation("sdpa")


# --- on a CPU: piece by piece ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Look:
    """One call of the kernel: queries from `start` to `stop` on keys from `first` to `last`."""

    start: int
    stop: int
    first: int
    last: int
    causal: bool
    mask: Any

    @property
    def own(self) -> bool:
        """A piece on itself; these come first, and every token is in one of them."""
        return self.start == self.first


def by_pieces(query: Any, key: Any, value: Any, ends: Any, scale: float) -> Any:
    """Attention over the tree with these `ends`, [1, H, N, D]."""
    groups = query.shape[1] // key.shape[1]
    return _Pieces.apply(
        query, repeat_kv(key, groups), repeat_kv(value, groups), _looks(ends, query.dtype), scale
    )


def _looks(ends: Any, dtype: Any) -> list[_Look]:
    key = ("pieces", dtype)
    known = _known.setdefault(ends, {})
    if key not in known:
        known[key] = _planned(ends.flatten().numpy(), dtype)
    return known[key]


def _planned(ends: Any, dtype: Any) -> list[_Look]:
    """Every piece on itself, then every run with what descends from it."""
    own, down = [], []
    for piece in pieces(ends):
        mask = None
        if not piece.causal:
            seen = torch.from_numpy(sees(ends, piece.start, piece.stop))
            mask = torch.zeros(seen.shape, dtype=dtype).masked_fill_(~seen, -torch.inf)[None, None]
        own.append(_Look(piece.start, piece.stop, piece.start, piece.stop, piece.causal, mask))
        if piece.end > piece.stop:
            down.append(_Look(piece.stop, piece.end, piece.start, piece.stop, False, None))
    return own + down


class _Pieces(torch.autograd.Function):
    """Attention as the sum of its looks, each weighed by its share of the softmax."""

    @staticmethod
    def forward(ctx: Any, query: Any, key: Any, value: Any, looks: Any, scale: float) -> Any:
        """[1, H, N, D] each -> [1, H, N, D]."""
        out = torch.empty_like(query, dtype=torch.float32)
        total = query.new_full(query.shape[:-1], -torch.inf, dtype=torch.float32)
        for look in looks:
            q = query[:, :, look.start : look.stop]
            k, v = (side[:, :, look.first : look.last] for side in (key, value))
            part, mass = _kernel(q, k, v, 0.0, look.causal, attn_mask=look.mask, scale=scale)
            here, sums = (side[:, :, look.start : look.stop] for side in (out, total))
            if look.own:
                here.copy_(part)
                sums.copy_(mass)
                continue
            both = torch.logaddexp(sums, mass)
            here.mul_((sums - both).exp_()[..., None])
            here.addcmul_(part.float(), (mass - both).exp_()[..., None])
            sums.copy_(both)
        out = out.to(query.dtype)
        ctx.save_for_backward(query, key, value, out, total)
        ctx.looks, ctx.scale = looks, scale
        return out

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        """The kernel's own backward of each look, under the sums of the whole."""
        query, key, value, out, total = ctx.saved_tensors
        sums = [torch.empty_like(side, dtype=torch.float32) for side in (query, key, value)]
        for look in ctx.looks:
            mine, seen = slice(look.start, look.stop), slice(look.first, look.last)
            given = _kernel_backward(
                grad[:, :, mine],
                query[:, :, mine],
                key[:, :, seen],
                value[:, :, seen],
                out[:, :, mine],
                total[:, :, mine],
                0.0,
                look.causal,
                attn_mask=look.mask,
                scale=ctx.scale,
            )
            for side, place, part in zip(sums, (mine, seen, seen), given, strict=True):
                if look.own:
                    side[:, :, place] = part
                else:
                    side[:, :, place] += part
        return (*(side.to(query.dtype) for side in sums), None, None)


# --- elsewhere -----------------------------------------------------------------------------------


def by_flex(query: Any, key: Any, value: Any, ends: Any, scale: float) -> Any:
    """The same by FlexAttention, compiled on CUDA; not run on CUDA so far."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    known = _known.setdefault(ends, {})
    if "flex" not in known:
        known["flex"] = create_block_mask(
            _ancestor(ends.flatten()),
            None,
            None,
            len(ends.flatten()),
            len(ends.flatten()),
            device=query.device,
        )
    attend = _compiled() if query.device.type == "cuda" else flex_attention
    return attend(query, key, value, block_mask=known["flex"], scale=scale, enable_gqa=True)


@functools.cache
def _compiled() -> Any:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=True)


def _ancestor(ends: Any) -> Any:
    def seen(_batch: Any, _head: Any, query: Any, key: Any) -> Any:
        return (key <= query) & (query < ends[key])

    return seen


def by_mask(query: Any, key: Any, value: Any, ends: Any, scale: float) -> Any:
    """The same by SDPA under a dense mask."""
    known = _known.setdefault(ends, {})
    if "mask" not in known:
        at = torch.arange(ends.numel(), device=ends.device)
        known["mask"] = _ancestor(ends.flatten())(0, 0, at[:, None], at[None, :])[None, None]
    groups = query.shape[1] // key.shape[1]
    key, value = repeat_kv(key, groups), repeat_kv(value, groups)
    return scaled_dot_product_attention(query, key, value, known["mask"], scale=scale)
