"""Makes the sample: BFCL's own OpenAI handler and AST checker on a few questions of our own.

    pip install bfcl-eval==2026.3.23
    python sample_logs/bfcl/make.py

Writes `result/<model>/…_result.json` in function-calling and in prompting mode, `score/<model>/…`,
and `tools.json`: the questions in BFCL's form. Paths in tracebacks are rewritten.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from copy import deepcopy
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "make"))
os.environ["BFCL_PROJECT_ROOT"] = tempfile.mkdtemp()
os.environ["OPENAI_API_KEY"] = "none"

from model_server import Call, Reply, serve


def number(name: str) -> dict:
    return {"type": "float", "description": f"The {name}."}


def function(name: str, kind: dict, required: list[str]) -> dict:
    schema = {"type": "dict", "properties": kind, "required": required}
    return {"name": name, "description": f"Tells {name}.", "parameters": schema}


AREA = function("shape.area", {"base": number("base"), "height": number("height")}, ["base"])
TEMPERATURE = function(
    "temperature",
    {
        "place": {"type": "tuple", "items": {"type": "float"}, "description": "Where."},
        "unit": {"type": "string", "enum": ["C", "F"], "description": "Scale."},
        "tag": {"type": "any", "description": "Anything."},
    },
    ["place"],
)
ADD = function("add", {"a": number("first"), "b": number("second")}, ["a", "b"])
DIVIDE = function("divide", {"a": number("first"), "b": number("second")}, ["a", "b"])


def question(id: str, *turns: str, functions: list[dict], **more: object) -> dict:
    asked = [[{"role": "user", "content": text}] for text in turns]
    return {"id": id, "question": asked, "function": functions, **more}


SIMPLE = [
    question("simple_python_0", "Area of base 3, height 4?", functions=[AREA]),
    question("simple_python_1", "Area of base 5, height 2?", functions=[AREA]),
    question("simple_python_2", "How warm is it at 59.9, 10.7?", functions=[TEMPERATURE]),
    question("simple_python_3", "How warm is it at 1, 2 in kelvin?", functions=[TEMPERATURE]),
    question("simple_python_4", "Area of base 7?", functions=[AREA]),
    question("simple_python_5", "Area of base 8?", functions=[AREA]),
]
RIGHT = [
    {"shape.area": {"base": [3.0], "height": [4.0]}},
    {"shape.area": {"base": [5.0], "height": [2.0]}},
    {"temperature": {"place": [[59.9, 10.7]], "unit": ["C", ""], "tag": [""]}},
    {"temperature": {"place": [[1.0, 2.0]], "unit": [""], "tag": [""]}},
    {"shape.area": {"base": [7.0], "height": [""]}},
    {"shape.area": {"base": [8.0], "height": [""]}},
]
TALK = question(
    "multi_turn_base_0",
    "Add 2 and 3, then divide the sum by 2.",
    "Now divide by nothing.",
    functions=[ADD, DIVIDE],
    initial_config={},
    involved_classes=["MathAPI"],
    path=["MathAPI.add", "MathAPI.divide"],
)
CALLED = [
    Reply(calls=(Call("shape_area", '{"base": 3.0, "height": 4.0}'),)),
    Reply(calls=(Call("shape_area", '{"base": "five", "height": 2.0}'),)),
    Reply(calls=(Call("temperature", '{"place": [59.9, 10.7], "tag": 1'),)),
    Reply("I do not know kelvin."),
    Reply(calls=(Call("circle_area", '{"base": 7.0}'),)),
    Reply(status=500),
]
WRITTEN = [
    Reply("[shape.area(base=3.0, height=4.0)]"),
    Reply("[shape.area(base=5.0, heigth=2.0)]"),
    Reply("[temperature(place=(59.9, 10.7), unit='C')]"),
    Reply("[temperature(place=(1.0, 2.0), unit='K')"),
    Reply("```\n[shape.area(base=7.0)]\n```"),
    Reply("The area depends on the height."),
]
TURNS = [
    Reply(calls=(Call("add", '{"a": 2, "b": 3}'), Call("divide", '{"a": 5, "b": 2}'))),
    Reply("The sum is 5, half of it 2.5."),
    Reply(calls=(Call("divide", '{"a": 2.5, "b": 0}'),)),
    Reply(calls=(Call("divide", '{"a": 2.5, "b": '),)),
]


def handler(url: str, called: bool):
    from bfcl_eval.model_handler.api_inference.openai_completion import OpenAICompletionsHandler

    os.environ["OPENAI_BASE_URL"] = f"{url}/v1"
    name = "misstep-sample-FC" if called else "misstep-sample-prompt"
    made = OpenAICompletionsHandler(name, 0.001, name, called)
    made.client = made.client.with_options(max_retries=0)
    return made


def run(entries: list[dict], replies: list[Reply], called: bool, logged: bool = False) -> None:
    from bfcl_eval._llm_response_generation import multi_threaded_inference
    from bfcl_eval.eval_checker import eval_runner

    with serve(replies) as server:
        model = handler(server.url, called)
        results = []
        for entry in entries:
            result = multi_threaded_inference(model, deepcopy(entry), logged, False)
            if "traceback" in result:
                result["traceback"] = re.sub(r'File "[^"]*/', 'File "', result["traceback"])
            results.append(result)
        model.write(results, HERE / "result")
    if entries is SIMPLE:
        from bfcl_eval.constants.model_config import MODEL_CONFIG_MAPPING

        like = "gpt-4o-2024-11-20-FC" if called else "gpt-4o-2024-11-20"
        MODEL_CONFIG_MAPPING[model.registry_name] = MODEL_CONFIG_MAPPING[like]
        answers = [{"ground_truth": [right]} for right in RIGHT]
        eval_runner.ast_file_runner(
            model,
            results,
            deepcopy(entries),
            answers,
            "simple_python",
            model.registry_name,
            HERE / "score",
        )


def main() -> None:
    for folder in ("result", "score"):
        shutil.rmtree(HERE / folder, ignore_errors=True)
    run(SIMPLE, CALLED, True)
    run(SIMPLE, WRITTEN, False)
    run([TALK], TURNS, True, logged=True)
    lines = [json.dumps(entry) for entry in [*SIMPLE, TALK]]
    (HERE / "tools.json").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
