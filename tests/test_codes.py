from misstep.codes import CODES


def test_every_code_has_a_meaning_and_is_named_once():
    assert all(name == code.name and code.meaning for name, code in CODES.items())


def test_the_environment_is_never_the_models_defect():
    assert CODES["ENV_ERROR"].level == "info"


def test_loops_of_the_agent_and_tool_errors_stand_outside_the_offline_total():
    outside = {name for name, code in CODES.items() if not code.offline}
    assert outside >= {"LOOP_SAME_CALL", "LOOP_ERROR", "TOOL_ERROR", "ENV_ERROR"}
    assert outside >= {"REDUNDANT_CALL", "UNRESOLVED_EFFECT", "RESULT_CONTRACT", "CONTRACT_DRIFT"}
