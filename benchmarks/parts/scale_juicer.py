"""Most of Data-Juicer's agent recipe without its operators that ask an LLM, on the same rows.

    python benchmarks/parts/scale_juicer.py convert FOLDER FILE
    python benchmarks/parts/scale_juicer.py run FILE FOLDER
    python benchmarks/parts/scale_juicer.py count FOLDER

`convert` writes one row a conversation as the recipe reads it: the last answer in
`response_choices`, what came before in `messages`. `run` is `dj-process` with the default executor,
one process and no cache of datasets (with it, every operator would leave a copy of the logs). Its
operators are those of the recipe that need no API and say something of a conversation: normalising
the dialogue, usage, success and failure of tools by patterns in their results, kinds of tools,
lengths, repetition of characters and words, and the tiers of bad cases that follow from these. Left
out are its redaction, its cleaning and its other filters of texts. `count` says what it found.

It judges whole conversations. It does not read arguments against schemas, know unknown tools, or
parse arguments; repetition is a share of a conversation's text, not a place.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

OPERATORS: list[dict[str, dict[str, Any]]] = [
    {"agent_dialog_normalize_mapper": {"choices_key": "response_choices"}},
    {"usage_counter_mapper": {"choices_key": "response_choices", "usage_key": "response_usage"}},
    {"tool_success_tagger_mapper": {"messages_key": "messages"}},
    {"agent_tool_type_mapper": {"top_k_dominant": 5}},
    {"text_length_filter": {"min_len": 0, "max_len": 9_999_999}},
    {"words_num_filter": {"lang": "en", "min_num": 0, "max_num": 9_999_999}},
    {"character_repetition_filter": {"rep_len": 10, "min_ratio": 0.0, "max_ratio": 1.0}},
    {"word_repetition_filter": {"lang": "en", "rep_len": 10, "min_ratio": 0.0, "max_ratio": 1.0}},
    {
        "agent_bad_case_signal_mapper": {
            "min_tool_rounds_for_ratio_signal": 2,
            "max_total_tokens": 200_000,
            "max_latency_ms": 120_000,
            "signal_on_llm_analysis_low": False,
            "signal_on_llm_text_quality_low": False,
        }
    },
]
DONE = "processed.jsonl"


def convert(folder: Path, to: Path) -> dict[str, int]:
    """Write the rows of a folder as one file."""
    count = 0
    with to.open("wb") as out:
        for file in sorted(folder.glob("*.jsonl")):
            with file.open("rb") as lines:
                for line in lines:
                    row = json.loads(line)
                    *before, answer = row["messages"]
                    made = {"id": row["id"], "messages": before}
                    made["response_choices"] = [{"index": 0, "message": answer}]
                    out.write(json.dumps(made).encode() + b"\n")
                    count += 1
    return {"rows": count}


def run(rows: Path, folder: Path) -> None:
    """Process the rows; what is found lies in the folder."""
    from data_juicer.tools.process_data import main

    recipe = {
        "project_name": "scale",
        "executor_type": "default",
        "dataset_path": str(rows),
        "export_path": str(folder / DONE),
        "np": 1,
        "use_cache": False,
        "temp_dir": str(folder),
        "ds_cache_dir": str(folder / "datasets"),
        "keep_stats_in_res_ds": True,
        "text_keys": "id",
        "process": OPERATORS,
    }
    file = folder / "recipe.yaml"
    file.write_text(json.dumps(recipe, indent=1), encoding="utf-8")  # JSON is YAML
    sys.argv = ["dj-process", "--config", str(file)]
    main()


def count(folder: Path) -> dict[str, Any]:
    """What was found, over all conversations."""
    tiers: Counter[str] = Counter()
    signals: Counter[str] = Counter()
    failed = calls = rows = 0
    with (folder / DONE).open("rb") as lines:
        for line in lines:
            meta = json.loads(line)["__dj__meta__"]
            rows += 1
            tiers[meta["agent_bad_case_tier"]] += 1
            signals.update(signal["code"] for signal in meta["agent_bad_case_signals"])
            failed += meta["tool_fail_count"]
            calls += meta["tool_fail_count"] + meta["tool_success_count"]
    kinds = {"tool results that look like errors": failed}
    kinds |= {f"conversations with {code}": n for code, n in sorted(signals.items())}
    kinds |= {f"tier {name}": n for name, n in sorted(tiers.items())}
    return {"sessions": rows, "tool_calls": calls, "failed": failed, "kinds": kinds}


def main() -> None:
    """One of the three."""
    words = sys.argv[1:]
    if words[0] == "run":
        run(Path(words[1]), Path(words[2]))
    elif words[0] == "convert":
        print(json.dumps(convert(Path(words[1]), Path(words[2]))))
    else:
        print(json.dumps(count(Path(words[1]))))


if __name__ == "__main__":
    main()
