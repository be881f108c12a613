"""Estimates beside what o200k_base counts, the tokenizer that the weights were fitted to."""

import time
from pathlib import Path

import pytest

from kugetsu.context import estimate, estimate_text
from kugetsu.messages import AssistantMessage, Image, Text, Thinking, ToolCall, ToolResult, user

SAMPLES = Path(__file__).parent / "samples"

COUNTED = {
    "agent_python.txt": 1387,
    "arabic.txt": 355,
    "chinese.txt": 361,
    "diff.txt": 1057,
    "english.txt": 252,
    "french.txt": 202,
    "german.txt": 200,
    "greek.txt": 256,
    "hashes.txt": 1641,
    "hebrew.txt": 392,
    "hindi.txt": 371,
    "japanese.txt": 451,
    "javascript.txt": 310,
    "korean.txt": 426,
    "listing.txt": 1737,
    "makefile.txt": 1504,
    "numbers_json.txt": 1538,
    "readme_markdown.txt": 2130,
    "russian.txt": 342,
    "rust.txt": 396,
    "spanish.txt": 180,
    "test_log.txt": 1330,
    "thai.txt": 475,
    "vietnamese.txt": 191,
}


def read(name: str) -> str:
    return (SAMPLES / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.iterdir()))
def test_an_estimate_is_within_15_percent_of_what_a_tokenizer_counts(name: str) -> None:
    assert estimate_text(read(name)) == pytest.approx(COUNTED[name], rel=0.15)


def test_a_long_text_is_estimated_from_parts_of_it() -> None:
    code, prose = read("agent_python.txt"), read("english.txt")
    for text, tokens in ((code * 9, 9 * 1387), (prose * 30, 30 * 252), (code * 4 + prose * 20, 4 * 1387 + 20 * 252)):
        assert estimate_text(text) == pytest.approx(tokens, rel=0.15)


@pytest.mark.parametrize("name", ["agent_python.txt", "russian.txt", "chinese.txt"])
def test_a_long_text_takes_about_half_a_millisecond(name: str) -> None:
    text = (read(name) * 60)[:20_000]

    def seconds() -> float:
        started = time.perf_counter()
        estimate_text(text)
        return time.perf_counter() - started

    assert min(seconds() for _ in range(20)) < 0.002  # a busy machine gets some more


@pytest.mark.parametrize("piece", [" ", "\n", "\t", "(", "a", "A", "0", "é", "\ud800", " \n"])
def test_no_text_takes_long(piece: str) -> None:
    started = time.perf_counter()
    for size in (4_000, 100_000):
        estimate_text(piece * size)
    assert time.perf_counter() - started < 0.2


def test_more_text_is_not_fewer_tokens() -> None:
    text = read("english.txt")
    sizes = [estimate_text(text[:end]) for end in range(0, len(text), 100)]
    assert sizes == sorted(sizes)
    assert estimate_text("") == 0


def test_every_block_of_a_message_counts() -> None:
    text = read("english.txt")
    alone = estimate(user(text))
    assert alone > estimate_text(text)
    assert estimate(AssistantMessage((Text(text), Thinking(text)))) > 1.9 * alone
    assert estimate(AssistantMessage((Thinking(redacted="x" * 4_000),))) >= 1_000
    assert estimate(AssistantMessage((ToolCall("c", "write", text),))) > alone
    assert estimate(ToolResult("c", "read", (Text(text), Image("aGk=", "image/png")))) > alone + 1_000
