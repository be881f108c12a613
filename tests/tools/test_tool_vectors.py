"""Our rules against recorded ones: a file of cases made here, and Pi's own answers where a checkout of them is near."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from kugetsu.errors import ToolError
from kugetsu.tools.matching import Replacement, apply_edits, fold
from kugetsu.tools.truncation import Truncated, truncate_head, truncate_tail

OWN = Path(__file__).parent / "vectors"
PI = Path(__file__).parents[2].parent / "shared" / "vectors"

needs_pi = pytest.mark.skipif(not PI.is_dir(), reason="Pi's recorded answers are not beside the checkout")


def cases(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def truncated(result: Truncated, limits: dict[str, Any]) -> dict[str, Any]:
    return {
        "content": result.content,
        "truncated": result.cut is not None,
        "truncatedBy": result.cut,
        "totalLines": result.total_lines,
        "totalBytes": result.total_bytes,
        "outputLines": result.lines,
        "outputBytes": result.size,
        "lastLinePartial": result.partial_line,
        "firstLineExceedsLimit": result.first_too_long,
        "maxLines": limits["maxLines"],
        "maxBytes": limits["maxBytes"],
    }


def truncations(given: dict[str, Any]) -> dict[str, Any]:
    limits = (given["maxLines"], given["maxBytes"])
    return {
        "head": truncated(truncate_head(given["content"], *limits), given),
        "tail": truncated(truncate_tail(given["content"], *limits), given),
    }


def edited(given: dict[str, Any]) -> dict[str, str]:
    edits = [Replacement(edit["oldText"], edit["newText"]) for edit in given["edits"]]
    try:
        return {"ok": apply_edits(given["content"], edits, "f.txt").content}
    except ToolError as error:
        return {"error": error.message}


def difference(case: dict[str, Any]) -> str:
    """Which of the known differences from Pi a case of `edit` shows, `unknown` for any other."""
    olds = [edit["oldText"] for edit in case["in"]["edits"]]
    if any("\ud800" <= character <= "\udfff" for old in olds for character in old):
        return "half a character"
    return "blanks alone" if any(old and not fold(old) for old in olds) else "unknown"


@pytest.mark.parametrize("case", cases(OWN / "truncate.jsonl"), ids=lambda case: repr(case["in"]["content"][:20]))
def test_truncation_keeps_its_recorded_rules(case: dict[str, Any]) -> None:
    assert truncations(case["in"]) == {"head": case["head"], "tail": case["tail"]}


@pytest.mark.parametrize("case", cases(OWN / "edit.jsonl"), ids=lambda case: repr(case["in"]["content"][:20]))
def test_edits_keep_their_recorded_rules(case: dict[str, Any]) -> None:
    assert edited(case["in"]) == case["out"]


@needs_pi
def test_truncation_never_differs_from_pi() -> None:
    recorded = cases(PI / "truncate.jsonl")
    assert len(recorded) == 300
    assert [
        case["in"] for case in recorded if truncations(case["in"]) != {"head": case["head"], "tail": case["tail"]}
    ] == []


@needs_pi
def test_edits_differ_from_pi_only_where_pi_counts_wrongly() -> None:
    """36 of 300 answers differ, in two ways, and on purpose.

    - Half a character (13): Pi's offsets count UTF-16 units, so an old text may begin or end in the middle of a
      character outside the basic plane, and Pi then cuts that character in two. Such a text cannot be in a file, so
      here it is not found.
    - Blanks alone (23): an old text of blanks folds to nothing, of which Pi finds as many occurrences as the file has
      characters (or, in a file of one line feed or none, one at its beginning, which inserts the new text or fails
      with "Replacement range is outside the base content."). Here blanks are counted as they stand: one occurrence is
      replaced, several are refused with their true number, none is "not found".

    Pi's display diff (`out.diff`) is not compared: it is for people, and `edit` tells the changed lines instead.
    """
    recorded = cases(PI / "edit.jsonl")
    assert len(recorded) == 300
    wanted = [{name: value for name, value in case["out"].items() if name != "diff"} for case in recorded]
    differing = [case for case, out in zip(recorded, wanted, strict=True) if edited(case["in"]) != out]
    assert Counter(map(difference, differing)) == {"half a character": 13, "blanks alone": 23}
