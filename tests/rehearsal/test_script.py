import os
from pathlib import Path

import pytest

from kugetsu.errors import MODEL_FAILURES, ConfigError
from kugetsu.rehearsal import NOTES, load_script, parse_script


def test_json_and_yaml_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        '{"turns": [{"text": "hi", "tool_calls": [{"name": "ls", "arguments": {"path": "."}}], "delay": 0.5,'
        ' "usage": {"input": 3, "output": 2}}, {"fail": "rate_limited"}]}'
    )
    (tmp_path / "a.yaml").write_text(
        "turns:\n- text: hi\n  tool_calls:\n  - {name: ls, arguments: {path: .}}\n  delay: 0.5\n"
        "  usage: {input: 3, output: 2}\n- fail: rate_limited\n"
    )
    assert load_script(tmp_path / "a.json") == load_script(tmp_path / "a.yaml")


@pytest.mark.parametrize("part", ["turns", "summaries"])
def test_a_field_without_a_value_is_one_that_was_left_out(part: str) -> None:
    empty = {"text": "hi", "tool_calls": None, "usage": None, "fail": None, "delay": None}
    assert parse_script({part: [empty]}) == parse_script({part: [{"text": "hi"}]})


def test_summaries_stand_beside_the_turns(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "summaries:\n- text: |\n    ## Done\n    - it\n  usage:\n  delay: 0.5\n- fail: overloaded\nturns:\n- text: hi\n"
    )
    script = load_script(tmp_path / "a.yaml")
    assert [(turn.text, turn.delay, turn.fail) for turn in script.summaries] == [
        ("## Done\n- it\n", 0.5, None),
        ("", 0.0, "overloaded"),
    ]
    assert [turn.text for turn in script.turns] == ["hi"]
    assert parse_script({"turns": []}).summaries == ()
    assert NOTES.text.strip()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"turns": [{"txt": "hi"}]}, r"unknown field `txt` - at `\$\.turns\[0\]`"),
        ({"turns": [{"fail": "tired"}]}, "tired"),
        ({"turns": [{"delay": -1}]}, "delay"),
        ({"turns": [{"tool_calls": [{}]}]}, "required field `name`"),
        ({"summaries": [{}, {"txt": "hi"}]}, r"unknown field `txt` - at `\$\.summaries\[1\]`"),
        ({"summaries": None}, r"\$\.summaries"),
        ({"summaries": ["notes"]}, r"\$\.summaries\[0\]"),
        ({"window": 7_999}, "`window` must be 8,000 tokens or more, got 7,999"),
        ({"window": "large"}, r"\$\.window"),
        ({"summary": []}, "unknown field `summary`"),
        ([], "Expected `object`"),
    ],
)
def test_a_mistake_names_the_entry_and_the_field(data: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_script(data)


@pytest.mark.parametrize(("name", "text"), [("a.json", "{"), ("a.yaml", "a: [")])
def test_a_file_that_is_neither_is_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match="is no"):
        load_script(tmp_path / name)


def test_what_is_no_file_or_never_ends_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(2**30)
    for place in ("fifo", "large.json", ".", "\0", "/dev/zero", "x" * 100_000):
        with pytest.raises(ConfigError, match="cannot read the script"):
            load_script(tmp_path / place)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.json"):
        load_script(tmp_path / "nowhere.json")


@pytest.mark.parametrize("kind", MODEL_FAILURES)
def test_every_failure_of_a_model_can_be_rehearsed(kind: str) -> None:
    assert parse_script({"turns": [{"fail": kind}]}).turns[0].fail == kind
