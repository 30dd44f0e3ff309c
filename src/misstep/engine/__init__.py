"""The engine: many pieces of work spread over this machine's cores.

In: a job, that is a function that prepares a worker and one that does a piece of work. Out: the
results, each with the piece that it belongs to, as they come. What the work is, the engine does
not know.
"""

from __future__ import annotations

from misstep.engine.local import Crash, Engine, Job, cores

__all__ = ["Crash", "Engine", "Job", "cores"]
