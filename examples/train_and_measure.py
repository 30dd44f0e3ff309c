# %% [markdown]
# # From logs to an adapter and a number
# `python examples/train_and_measure.py LOGS FOLDER [MODEL]`: pairs from the logs, an adapter, and
# the failure rate before and after on sessions that it was not trained on. With the embedded
# SmolLM2 (135 million parameters) it runs on a CPU.

# %%
import sys

import polars as pl

import misstep

logs = sys.argv[1] if len(sys.argv) > 1 else "sample_logs/openai-chat"
folder = sys.argv[2] if len(sys.argv) > 2 else "pairs"
model = sys.argv[3] if len(sys.argv) > 3 else "smollm2"

# Any key of docs/config.md. These make it short; a real run leaves them out.
settings = {
    "mine.off_policy": True,
    "sft.max_steps": 4,
    "dpo.max_steps": 4,
    "sample.max_new_tokens": 16,
    "eval.num_generations": 1,
    "eval.resamples": 500,
    "eval.max_prompts": 20,
}

# %% [markdown]
# ## Pairs
# Each pair has one prompt, what the agent did wrong there and something better, with its source.
# Look at some before you train on them: `misstep review FOLDER` shows them one by one.

# %%
mined = misstep.mine(logs, folder, settings=settings | {"model": model})
print(f"{mined.pairs} pairs from {mined.failed_steps} failed steps; refused: {dict(mined.refused)}")
pairs = mined.frame()
if not pairs.is_empty():
    print(pairs.select("id", "source", "codes").head(5))

# %% [markdown]
# ## Adapter
# SFT on accepted steps, then DPO. A second call resumes or finds that nothing changed.

# %%
trained = misstep.train(folder, model=model, settings=settings)
print(trained.said)
if trained.log:
    print(trained.frame().select("stage", "step", pl.col("loss").round(3)).drop_nulls().tail(5))

# %% [markdown]
# ## Before and after
# On held-out families, with intervals and an exact p. The verdict says whether to ship it.

# %%
if trained.adapter is not None:
    result = misstep.evaluate(folder, model=model, settings=settings)
    print(result.verdict, "-", result.why)
    rates = result.frame().filter(pl.col("metric") == "failure_rate", pl.col("code").is_null())
    print(rates.select("model", "value", "low", "high", "k", "n"))
    print(result.frame("paired").filter(pl.col("code").is_null()).select("from", "to", "p"))
