"""The engine: many pieces of work spread over this machine's cores.

In: a job, that is a function that prepares a worker and one that does a piece of work. Out: the
results, each with the piece that it belongs to, as they come. What the work is, the engine does
not know.
"""

from __future__ import annotations

from misstep.engine.local import WORTH, Crash, Engine, Job, cores, expect

__all__ = ["WORTH", "Crash", "Engine", "Job", "cores", "expect"]
