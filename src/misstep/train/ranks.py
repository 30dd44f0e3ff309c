"""Several processes that train together: which one writes, and what they tell each other.

Started by `accelerate launch`, `torchrun` or `mpirun`, each process has its rank in the
environment. Only the main process writes files; the others wait where they need what it wrote. With
one process every function here does nothing. Importing this module imports nothing heavy.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

Report = TypeVar("Report")


def count() -> int:
    """How many processes train together."""
    return _number(("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE"), 1)


def rank() -> int:
    """Which of them this one is, from 0."""
    return _number(("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK"), 0)


def _number(names: Sequence[str], otherwise: int) -> int:
    return next((int(os.environ[name]) for name in names if name in os.environ), otherwise)


def is_main() -> bool:
    """Whether this process writes files."""
    return rank() == 0


def spoken(report: Report) -> Report | None:
    """The callback in the main process, None in the others: what is said is said once."""
    return report if is_main() else None


def join() -> None:
    """Meet the other processes, and on CUDA take the device that is this one's own."""
    if count() > 1:
        from accelerate import PartialState

        PartialState(cpu=os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes"))


def wait() -> None:
    """Return once every process has come here."""
    if count() > 1:
        from accelerate import PartialState

        PartialState().wait_for_everyone()


def gathered(part: Mapping[Any, Any]) -> dict[Any, Any]:
    """What all processes found, in every one of them."""
    if count() == 1:
        return dict(part)
    import torch.distributed

    parts: list[Any] = [None] * count()
    torch.distributed.all_gather_object(parts, dict(part))
    return {key: value for each in parts for key, value in each.items()}


def most(number: int, device: Any) -> int:
    """The largest of what all processes give; they meet on `device`."""
    if count() == 1:
        return number
    import torch

    largest = torch.tensor(number, device=device)
    torch.distributed.all_reduce(largest, torch.distributed.ReduceOp.MAX)
    return int(largest)


def joined(part: Any) -> Any:
    """[rows of all processes, ...], which may each have another number of rows."""
    import torch

    parts: list[Any] = [None] * count()
    torch.distributed.all_gather_object(parts, part.detach().cpu())
    return torch.cat(parts).to(part.device)
