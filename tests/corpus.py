"""Where the real logs and suites lie that tests may read: the folder MISSTEP_CORPUS points at."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CORPUS = Path(os.environ.get("MISSTEP_CORPUS") or "does-not-exist")
needs_corpus = pytest.mark.skipif(
    not (CORPUS / "logs").is_dir(),
    reason="MISSTEP_CORPUS does not point at a folder that holds logs/",
)
