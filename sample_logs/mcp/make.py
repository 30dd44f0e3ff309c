"""Makes the sample: the MCP client and server of the Python SDK over stdio, with a tee between.

    pip install mcp==2.3.0
    python sample_logs/mcp/make.py

Writes `wire.jsonl` (every JSON-RPC message as it went over the wire, one a line, both directions)
and `mcp-server-orders.log` (another connection, as desktop clients log it: a time and a word before
the message). The client here plays the agent: it makes calls that a model would make.
"""

from __future__ import annotations

import asyncio
import datetime
import subprocess
import sys
import threading
from pathlib import Path

from mcp import ClientSession, MCPError, StdioServerParameters, stdio_client
from mcp.server.mcpserver import MCPServer

HERE = Path(__file__).resolve().parent
LOGS = {"wire": HERE / "wire.jsonl", "desktop": HERE / "mcp-server-orders.log"}


def server() -> None:
    """A server with three tools."""
    app = MCPServer("orders")

    @app.tool()
    def find_order(order_id: str) -> dict[str, str]:
        """Looks an order up by its number."""
        if not order_id.startswith("A"):
            raise ValueError(f"no order {order_id}")
        return {"order": order_id, "status": "shipped"}

    @app.tool()
    def quote_delivery(order_id: str, express: bool = False) -> int:
        """Days until an order arrives."""
        return 1 if express else 4

    @app.tool()
    def note(text: str) -> str:
        """Keeps a note."""
        return f"kept: {text}"

    app.run()


def line_of(style: str, sender: str, line: bytes) -> bytes:
    """One line of a log."""
    if style == "wire":
        return line
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    head = f"{now.replace('+00:00', 'Z')} [orders] [info] Message from {sender}: "
    return head.encode() + line.rstrip(b"\n") + b" { metadata: undefined }\n"


def tee(style: str) -> None:
    """Stands between client and server, and logs what passes."""
    child = subprocess.Popen(
        [sys.executable, __file__, "server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    log, lock = LOGS[style].open("ab"), threading.Lock()

    def copy(source, target, sender: str) -> None:
        for line in source:
            with lock:
                log.write(line_of(style, sender, line))
                log.flush()
            target.write(line)
            target.flush()

    back = threading.Thread(target=copy, args=(child.stdout, sys.stdout.buffer, "server"))
    back.start()
    copy(sys.stdin.buffer, child.stdin, "client")
    child.stdin.close()
    back.join()
    child.wait()


async def call(session: ClientSession, name: str, arguments: dict) -> None:
    try:
        await session.call_tool(name, arguments)
    except MCPError as error:
        print(name, error, file=sys.stderr)


async def talk(style: str, calls: list) -> None:
    """One connection; the calls of an inner list go out together."""
    LOGS[style].unlink(missing_ok=True)
    started = StdioServerParameters(command=sys.executable, args=[__file__, "tee", style])
    async with stdio_client(started) as pipes, ClientSession(*pipes) as session:
        await session.initialize()
        await session.list_tools()
        for group in calls:
            await asyncio.gather(*(call(session, name, arguments) for name, arguments in group))
        await session.send_ping()


WIRE = [
    [("find_order", {"order_id": "A17"})],
    [("quote_delivery", {"order_id": "A17", "express": True}), ("note", {"text": "asked twice"})],
    [("find_order", {"order_id": "C99"})],
    [("find_order", {})],
    [("quote_delivery", {"order_id": "A17", "express": "very"})],
    [("cancel_order", {"order_id": "A17"})],
]
DESKTOP = [
    [("note", {"text": 'Grüße {"not": "a call"}'})],
    [("find_order", {"order": "A17"})],
    [("find_order", {"order_id": "A17"})],
]

if __name__ == "__main__":
    if sys.argv[1:2] == ["server"]:
        server()
    elif sys.argv[1:2] == ["tee"]:
        tee(sys.argv[2])
    else:
        asyncio.run(talk("wire", WIRE))
        asyncio.run(talk("desktop", DESKTOP))
