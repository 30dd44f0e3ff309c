from misstep.mine.source import keeps_tools
from misstep.types import Message, Part, ToolCall


def calling(*names):
    calls = (Part(kind="call", call=ToolCall(name=name, arguments="{}")) for name in names)
    return Message(role="assistant", parts=tuple(calls))


OFFERED = ("hard", "easy")


def test_a_failure_in_the_arguments_teaches_arguments_and_not_another_tool():
    assert keeps_tools(calling("hard"), calling("hard"), OFFERED)
    assert not keeps_tools(calling("easy"), calling("hard"), OFFERED)


def test_a_tool_that_was_not_offered_or_no_call_at_all_leaves_the_choice_open():
    assert keeps_tools(calling("easy"), calling("unknown"), OFFERED)
    assert keeps_tools(calling("easy"), calling(), OFFERED)
