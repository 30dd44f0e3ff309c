from misstep.errors import (
    ExtraMissing,
    LeakError,
    MisstepError,
    SetupError,
    StageError,
    UnknownName,
)


def test_an_unknown_name_offers_the_nearest():
    error = UnknownName("format", "openai-chet", ["openai-chat", "claude-code"])
    assert str(error) == "unknown format 'openai-chet'; did you mean openai-chat?"


def test_an_unknown_name_far_from_all_lists_them():
    assert str(UnknownName("format", "zzz", ["b", "a"])) == "unknown format 'zzz'; known: a, b"


def test_a_missing_extra_gives_the_install_command():
    assert "pip install 'misstep[train]'" in str(ExtraMissing("train", "torch"))


def test_exit_codes_follow_the_tree():
    assert (MisstepError.exit_code, SetupError.exit_code, StageError.exit_code) == (1, 2, 1)
    assert LeakError.exit_code == 1
