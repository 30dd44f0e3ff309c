"""Makes the sample: answers in the form of ToolBench's inference (no package writes them).

    python sample_logs/toolbench/make.py

`1_DFS_woFilter_w2.json` is a depth-first search with two branches; `2_CoT@2.json` two chains. The
form follows the published answers; query, functions and texts are our own.
"""

from __future__ import annotations

import json
from pathlib import Path

HERE = Path(__file__).resolve().parent
QUERY = "When does parcel P7 arrive, and what does express cost?"
SYSTEM = {"role": "system", "content": "Use the functions. End with Finish."}
USER = {"role": "user", "content": f"\n{QUERY}\nBegin!\n"}
AGAIN = {"role": "user", "content": "You tried this before: track_for_post(P7). Do otherwise."}


def function(name: str, properties: dict, required: list[str]) -> dict:
    schema = {"type": "object", "properties": properties, "required": required, "optional": []}
    return {"name": name, "description": f"Function {name}.", "parameters": schema}


FUNCTIONS = [
    function("track_for_post", {"parcel": {"type": "string"}}, ["parcel"]),
    function(
        "price_for_post", {"kind": {"type": "string"}, "grams": {"type": "integer"}}, ["kind"]
    ),
    function(
        "Finish",
        {
            "return_type": {"type": "string", "enum": ["give_answer", "give_up_and_restart"]},
            "final_answer": {"type": "string"},
        },
        ["return_type"],
    ),
]
GIVE_UP = '{"return_type": "give_up_and_restart"}'
ANSWER = '{"return_type": "give_answer", "final_answer": "Tomorrow; express costs 9."}'
UP = '{"response":"chose to give up and restart"}'
DONE = '{"response":"successfully giving the final answer."}'


def node(kind: str, text: str, children: list | None = None, **more: object) -> dict:
    return {
        "is_terminal": False,
        "pruned": False,
        "finished": False,
        "depth": 0,
        "node_type": kind,
        "description": text,
        "Elo": 1000.0,
        "child_count": len(children or []),
        "expand_num": 0,
        **more,
        "children": children or [],
    }


def answer(
    name: str, arguments: str, said: str, code: int, *below: dict, thought: str = "", at: int = 1
) -> dict:
    """One answer of the model: thought, action and action input, and the answers below."""
    told = {"observation": said, "observation_code": code, "expand_num": at}
    end = node("Action Input", arguments, list(below), **told)
    action = node("Action", name, [end])
    return node("Thought", thought, [action]) if thought else action


def ok(text: str) -> str:
    return json.dumps({"error": "", "response": text})


def failed(error: str) -> str:
    return json.dumps({"error": error, "response": ""})


def tree() -> dict:
    first = answer(
        "locate_for_post",
        '{"parcel": "P7"}',
        failed("No such function name: locate_for_post"),
        1,
        answer(
            "price_for_post",
            '{"kind": "express", "grams": "many"}',
            failed("Timeout error..."),
            5,
            node(
                "Thought",
                "Nothing works.",
                [answer("Finish", GIVE_UP, UP, 4, at=5)],
                expand_num=4,
            ),
            at=3,
        ),
        at=2,
    )
    second = answer(
        "price_for_post",
        '{"kind": "express"}',
        ok("9"),
        0,
        answer("Finish", ANSWER, DONE, 3, at=7),
        thought="I ask for the price instead.",
        at=6,
    )
    start = answer("track_for_post", '{"parcel": "P7"}', ok("tomorrow"), 0, first, second)
    return node("Action Input", "", [start])


def call(name: str, arguments: str, content: str | None = None) -> dict:
    function_call = {"name": name, "arguments": arguments}
    return {"role": "assistant", "content": content, "function_call": function_call}


def gave(name: str, content: str) -> dict:
    return {"role": "function", "name": name, "content": content}


def trained() -> list[list[dict]]:
    """The chosen way, once up to each of its answers."""
    whole = [
        SYSTEM,
        USER,
        call("track_for_post", '{"parcel": "P7"}'),
        gave("track_for_post", ok("tomorrow")),
        AGAIN,
        call("price_for_post", '{"kind": "express"}', "I ask for the price instead."),
        gave("price_for_post", ok("9")),
        call("Finish", ANSWER),
    ]
    ends = [at for at, row in enumerate(whole) if row["role"] == "assistant"]
    return [whole[: at + 1] for at in ends]


def chain(*answers: dict) -> list[dict]:
    """Answers as the flat list of nodes that a chain is."""
    rows: list[dict] = []
    for top in answers:
        at: dict | None = top
        while at is not None:
            rows.append({key: value for key, value in at.items() if key != "children"})
            at = at["children"][0] if at["children"] else None
    return rows


def about(**more: object) -> dict:
    return {
        "valid_data": True,
        "query_count": 7,
        "total_tokens": 900,
        "final_answer": ANSWER,
        "function": FUNCTIONS,
        "chain": [],
        "query": QUERY,
        **more,
    }


def main() -> None:
    search = {
        "win": True,
        "tree": {"size": 18, "max_length": 9, "tree": tree()},
        "forward_args": {"single_chain_max_step": 12, "tree_beam_size": 2},
        "compare_candidates": [],
        "answer_generation": about(train_messages=trained(), finish_type="give_answer"),
    }
    tries = [
        chain(
            answer("track_for_post", '{"parcel": 7}', failed("Message error..."), 11),
            answer("Finish", '{"final_answer": "?"}', '{error:"must have "return_type""}', 2),
            answer("Finish", GIVE_UP, UP, 4, thought="I give up."),
        ),
        chain(
            answer("track_for_post", '{"parcel": "P7"', failed("request invalid, data error"), 12),
            answer("Finish", ANSWER, DONE, 3),
        ),
    ]
    chains = {
        "win": True,
        "try_count": 2,
        "trys": [{"chain": rows, "win": at == 1} for at, rows in enumerate(tries)],
        "compare_candidates": [],
        "forward_args": {"single_chain_max_step": 12, "pass_at": 2},
        "answer_generation": about(train_messages=[]),
    }
    for name, value in (("1_DFS_woFilter_w2", search), ("2_CoT@2", chains)):
        (HERE / f"{name}.json").write_text(json.dumps(value, indent=1) + "\n")


if __name__ == "__main__":
    main()
