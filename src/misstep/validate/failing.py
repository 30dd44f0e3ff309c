"""Whether a result is a failure: what the tool's contract says, then what the log and its text say.

In: one result, its tool's name and contract. Out: a `ToolFault` or None. A contract whose
`failure_when` can be read in the result decides; it makes a result with status 200 a failure, and
what merely looks like an error text none. A result that the log itself marks as an error stays one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jiter

from misstep.contracts import Contract, Failure, failed
from misstep.types import ToolResult
from misstep.validate.error_text import ToolFault, read_fault


def result_value(text: str) -> Any:
    """The value of a text that is JSON; else the text itself."""
    head = text[:64].lstrip()[:1]
    if head and head not in '{["0123456789-tfn':
        return text
    try:
        return jiter.from_json(text.encode("utf-8", "surrogatepass"), allow_inf_nan=False)
    except ValueError:
        return text


def declared(result: ToolResult, contract: Contract) -> Failure | bool | None:
    """What `failure_when` says: the failure, False for none, None where it cannot tell."""
    return failed(contract, result_value(result.text)) if contract.failure_when else None


def fault_of(result: ToolResult, tool: str, contract: Contract) -> ToolFault | None:
    """The error that a result is, or None."""
    said = declared(result, contract)
    if isinstance(said, Failure):
        cause = result.cause or said.cause
        return read_fault(replace(result, is_error=True, cause=cause), tool)
    if said is False and result.is_error is None and result.cause is None:
        return None
    return read_fault(result, tool)
