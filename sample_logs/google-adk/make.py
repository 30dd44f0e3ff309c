"""Makes the sample: Google's Agent Development Kit at work against the local model server.

    pip install google-adk==2.13.0
    python sample_logs/google-adk/make.py

Writes `sessions.db` (DatabaseSessionService), `session_*.json` (the same sessions as
`Session.model_dump_json`, plain and with camel-case names) and `orders.evalset.json`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sqlite3
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "make"))
os.environ["GOOGLE_API_KEY"] = "none"
logging.disable(logging.WARNING)

from google.adk.agents import LlmAgent
from google.adk.evaluation.eval_case import EvalCase, IntermediateData, Invocation
from google.adk.evaluation.eval_set import EvalSet
from google.adk.models.google_llm import Gemini
from google.adk.runners import Runner
from google.adk.sessions.database_session_service import DatabaseSessionService
from google.genai import types
from model_server import Call, Reply, serve

APP = "orders"
SHIPPED = {"A17": {"status": "shipped", "total": 42.5}, "B20": {"status": "packed", "total": 9.0}}


def find_order(order_id: str) -> dict:
    """Looks an order up by its number."""
    if order_id not in SHIPPED:
        return {"error": f"no order {order_id}"}
    return SHIPPED[order_id]


def quote_delivery(order_id: str, express: bool) -> dict:
    """Says when an order arrives."""
    return {"order": order_id, "days": 1 if express else 4}


def refund(order_id: str, amount: float) -> dict:
    """Pays money back."""
    if amount > SHIPPED[order_id]["total"]:
        raise ValueError(f"amount {amount} is above the order's total")
    return {"refunded": amount}


CLEAN = [
    Reply(calls=(Call("find_order", '{"order_id": "A17"}'),)),
    Reply(
        text="Both at once.",
        calls=(
            Call("quote_delivery", '{"order_id": "A17", "express": true}'),
            Call("quote_delivery", '{"order_id": "A17", "express": false}'),
        ),
    ),
    Reply("Order A17 is on its way: one day with express, else four."),
]
BROKEN = [
    Reply(finish="MALFORMED_FUNCTION_CALL"),
    Reply(calls=(Call("find_order", '{"order_id": "B20"}'),)),
    Reply("Order B20 is packed."),
    Reply(calls=(Call("quote_delivery", '{"order_id": "B20"}'),)),
    Reply(calls=(Call("find_order", '{"order_id": "C99"}'),)),
    Reply("There is no order C99."),
    Reply(finish="SAFETY"),
]
TRANSFER = [
    Reply(calls=(Call("transfer_to_agent", '{"agent_name": "billing"}'),)),
    Reply(calls=(Call("refund", '{"order_id": "A17", "amount": 5}'),)),
    Reply("I have refunded 5."),
]
UNKNOWN = [
    Reply(calls=(Call("cancel_order", '{"order_id": "A17"}'),)),
    Reply("I cannot cancel orders."),
]
DOWN = [Reply(status=503)]
TALKS = {
    "clean": (CLEAN, ["Where is order A17, and how fast can it be here?"]),
    "broken": (
        BROKEN,
        ["Where is order B20?", "I mean order B20.", "And C99?", "Tell me something dangerous."],
    ),
    "transfer": (TRANSFER, ["Please pay back 5 of order A17."]),
    "unknown": (UNKNOWN, ["Cancel order A17."]),
    "down": (DOWN, ["Are you there?"]),
}


def agents(url: str) -> LlmAgent:
    model = Gemini(model="gemini-2.5-flash", base_url=url)
    billing = LlmAgent(
        name="billing",
        model=model,
        description="Pays money back.",
        instruction="You pay money back.",
        tools=[refund],
    )
    return LlmAgent(
        name="support",
        model=model,
        instruction="You answer questions about orders.",
        tools=[find_order, quote_delivery],
        sub_agents=[billing],
    )


async def talk(service: DatabaseSessionService, name: str, url: str, turns: list[str]) -> None:
    runner = Runner(agent=agents(url), app_name=APP, session_service=service)
    await service.create_session(app_name=APP, user_id="ada", session_id=name)
    for text in turns:
        message = types.Content(role="user", parts=[types.Part(text=text)])
        try:
            async for _ in runner.run_async(user_id="ada", session_id=name, new_message=message):
                pass
        except Exception as error:  # noqa: BLE001  # what the kit could not use ends the turn
            print(name, type(error).__name__, str(error)[:100], file=sys.stderr)


def evals(events: list) -> EvalSet:
    """The first talk as an eval case, as the kit's own web page records one."""
    calls = [c for e in events for c in e.get_function_calls()]
    answers = [r for e in events for r in e.get_function_responses()]
    said = Invocation(
        invocation_id=events[0].invocation_id,
        user_content=events[0].content,
        final_response=events[-1].content,
        intermediate_data=IntermediateData(tool_uses=calls, tool_responses=answers),
        creation_timestamp=events[0].timestamp,
    )
    case = EvalCase(eval_id="where_is_a17", conversation=[said], creation_timestamp=0.0)
    return EvalSet(eval_set_id="orders", name="orders", eval_cases=[case])


async def main() -> None:
    path = HERE / "sessions.db"
    path.unlink(missing_ok=True)
    service = DatabaseSessionService(f"sqlite+aiosqlite:///{path}")
    for name, (replies, turns) in TALKS.items():
        with serve(replies) as server:
            await talk(service, name, server.url, turns)
    for name, camel, short in (("transfer", True, 1), ("broken", False, 1), ("unknown", False, 0)):
        session = await service.get_session(app_name=APP, user_id="ada", session_id=name)
        text = session.model_dump_json(by_alias=camel, exclude_none=bool(short), indent=1)
        (HERE / f"session_{name}.json").write_text(text + "\n")
    clean = await service.get_session(app_name=APP, user_id="ada", session_id="clean")
    said = evals(clean.events).model_dump_json(indent=1, exclude_none=True)
    (HERE / "orders.evalset.json").write_text(said + "\n")
    await service.db_engine.dispose()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA page_size = 1024")
        db.execute("VACUUM")


if __name__ == "__main__":
    asyncio.run(main())
    print(json.dumps(sorted(p.name for p in HERE.iterdir())))
