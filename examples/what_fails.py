# %% [markdown]
# # What fails in a folder of agent logs
# Needs no model: `python examples/what_fails.py LOGS [FOLDER]`, or cell by cell in an editor that
# reads the percent format. `FOLDER` is where the page and the table are written.

# %%
import sys
from pathlib import Path

import polars as pl

import misstep

logs = sys.argv[1] if len(sys.argv) > 1 else "sample_logs"
out = Path(sys.argv[2] if len(sys.argv) > 2 else "failures")
out.mkdir(exist_ok=True)

# %% [markdown]
# ## One scan
# Everything is a typed value: sessions, findings, one verdict a step, what could not be read.

# %%
found = misstep.scan(logs)
print(f"{found.failed} of {found.judged} judged steps failed, in {len(found.sessions)} sessions")
for entry in found.set_aside[:3]:
    print("set aside:", entry.origin.file, entry.origin.line, entry.reason)

# %% [markdown]
# ## The same as frames
# A failed step carries the codes of its defects; a finding leads back to its file and line.

# %%
steps = found.frame("steps")
by_tool = (
    steps.explode("tools")
    .group_by("tools")
    .agg(
        calls=pl.len(),
        failed=(pl.col("state") == "fail").sum(),
        judged=(pl.col("state") != "unjudged").sum(),
    )
    .sort("failed", descending=True)
)
print(by_tool.head(10))

findings = found.frame()
worst = findings.filter(pl.col("level") == "defect").group_by("code").len().sort("len")
print(worst.reverse().head(10))

# %% [markdown]
# ## To pass on
# The page holds no secrets and fetches nothing; the table is for a notebook or a database.

# %%
found.write_html(out / "failures.html")
findings.write_parquet(out / "findings.parquet")
print("written:", out / "failures.html", out / "findings.parquet")
