"""Our cut, our count and what stays after a compaction, against Pi's own answers where a checkout of them is near.

How Pi's entries become ours:

- a message becomes the same message; a result belongs to the reply that it follows, whatever its id says (in the recorded
  sessions no id joins the two), and one that follows no reply is left out where a session has to hold it;
- a summary of a branch is on the user's side and no user said it: a notice;
- a change of the thinking level, and in a search for a cut also an earlier compaction, is no message and takes no place:
  a cut before it is the same as one behind it.
"""

import json
import math
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from kugetsu.context import Meter, Summary, cut_point
from kugetsu.context.meter import Sizes
from kugetsu.messages import AssistantMessage, Message, StopReason, Text, ToolCall, ToolResult, Usage, user
from kugetsu.sessions import Checkpoint, Compacted, Finished, Heard, Replied, Session

RECORDED = Path(__file__).parents[2].parent / "shared" / "vectors" / "session.jsonl"
Json = dict[str, Any]

pytestmark = pytest.mark.skipif(not RECORDED.is_file(), reason="Pi's recorded answers are not beside the checkout")

STOPS: dict[str, StopReason] = {"stop": "end", "toolUse": "tool_calls", "aborted": "aborted", "error": "aborted"}


def cases() -> list[Json]:
    recorded = [json.loads(line) for line in RECORDED.read_text(encoding="utf-8").splitlines()]
    assert len(recorded) == 60
    return recorded


def pi_size(entry: Json) -> int:
    """As Pi counts: four characters for each token, rounded up."""
    if entry["type"] == "branch_summary":
        return math.ceil(len(entry["summary"]) / 4)
    content = entry["message"]["content"]
    return math.ceil((len(content) if isinstance(content, str) else sum(map(characters, content))) / 4)


def characters(block: Json) -> int:
    if block["type"] == "text":
        return len(block["text"])
    return len(block["name"]) + len(json.dumps(block["arguments"], separators=(",", ":")))


def visible(entries: Sequence[Json]) -> list[Json]:
    """Entries that the model gets to see."""
    return [entry for entry in entries if entry["type"] in {"message", "branch_summary"}]


def ours(entry: Json, calls: Sequence[ToolCall] = ()) -> Message:
    if entry["type"] == "branch_summary":
        return user(entry["summary"], "notice")
    message = entry["message"]
    match message["role"]:
        case "user":
            return user(message["content"])
        case "toolResult":
            return ToolResult(f"r{message['timestamp']}", message["toolName"], (Text(message["content"][0]["text"]),))
    usage = message["usage"]
    counted = Usage(usage["input"] + usage["cacheRead"] + usage["cacheWrite"], usage["output"])
    text = Text(message["content"][0]["text"])
    return AssistantMessage((text, *calls), STOPS[message["stopReason"]], counted)


# Where the conversation is cut. 51 of 60 agree.

CUTS = {
    **dict.fromkeys((5, 20, 21, 25, 52), "the last reply stays"),
    **dict.fromkeys((32, 36, 47), "without a reply nothing can go"),
    54: "results that nobody asked for",
}
"""Why ours is another.

- The last reply stays: what the user said last has as many tokens as are to be kept, so Pi leaves the model with no word of
  its own work but the summary. Here the last turn always stays as it is.
- Without a reply nothing can go: the users' words all stay, so there is nothing that a cut could free.
- Results that nobody asked for: the conversation begins with a result. Pi looks for the first place where a cut may be and
  drops it, here all is kept when less than what is to be kept is there; a session holds no such result.
"""


def test_a_cut_differs_from_pi_only_where_pi_keeps_no_work() -> None:
    differing: dict[int, str] = {}
    for number, case in enumerate(cases()):
        seen = visible(case["in"]["entries"])
        pi = len(visible(case["in"]["entries"][: case["cut"]["firstKeptEntryIndex"]]))
        messages, sizes = [ours(entry) for entry in seen], [pi_size(entry) for entry in seen]
        if pi != cut_point(messages, sizes, keep=case["in"]["keepRecentTokens"]):
            differing[number] = why_cut(messages, pi)
    assert differing == CUTS


def why_cut(messages: Sequence[Message], pi: int) -> str:
    replies = [place for place, message in enumerate(messages) if isinstance(message, AssistantMessage)]
    if not replies:
        return "without a reply nothing can go"
    if pi > replies[-1]:
        return "the last reply stays"
    results = all(isinstance(message, ToolResult) for message in messages[:pi])
    return "results that nobody asked for" if results else "unknown"


# Whose count is believed. All 60 agree: the last reply that became whole.


class Recorded(Sizes):
    """Sizes as Pi has them."""

    def __init__(self, sizes: list[int]) -> None:
        super().__init__()
        self.sizes = sizes

    def look(self, _messages: Sequence[Message]) -> list[int]:
        return self.sizes


def test_the_count_of_the_same_reply_is_believed_as_in_pi_and_what_follows_it_is_estimated() -> None:
    """Pi adds the reply's own tokens as counted, we as estimated: reasoning is counted too, and is not always sent back."""
    for number, case in enumerate(cases()):
        seen = [entry for entry in case["in"]["entries"] if entry["type"] == "message"]
        told, sizes = case["tokens"], [pi_size(entry) for entry in seen]
        last = told["lastUsageIndex"]
        assert told["trailingTokens"] == sum(sizes[0 if last is None else last + 1 :]), "these are Pi's sizes"
        messages = [ours(entry) for entry in seen]
        reply = messages[last] if last is not None else None
        counted = reply.usage if isinstance(reply, AssistantMessage) else Usage()
        assert told["usageTokens"] == counted.tokens
        meter = Meter(0)
        if last is not None:
            sizes[:last] = [0] * last  # nothing to compare the count with, so the ratio stays
        meter.sizes = Recorded(sizes)
        estimated = sizes[last] if last is not None else 0
        assert meter.measure(messages) == counted.input + estimated + told["trailingTokens"], number


# What stays after compactions. 53 of 60 agree on every reply and result.

STAYS = {
    **dict.fromkeys((2, 6, 17, 25, 42), "the last turn stays"),
    5: "no turn is torn",
    48: "what was taken out does not come back",
}
"""Why ours is another.

- The last turn stays: as for cuts.
- No turn is torn: Pi is told to keep a result and not its reply, and sends it so; here both go.
- What was taken out does not come back: a later compaction keeps more than one before it. For Pi the last one alone counts,
  so it shows again what earlier notes stand for; here it is refused.
"""

WORDS = (0, 1, 2, 4, 6, 7, 8, 12, 17, 18, 21, 24, 25, 28, 32, 33, 41, 44, 48, 52, 56, 59)
"""Where Pi no longer shows 52 of the users' messages; here all of them stay."""


def test_after_compactions_the_same_work_stays_as_in_pi_and_all_that_users_said() -> None:
    differing: dict[int, str] = {}
    less, lost = list[int](), 0
    for number, case in enumerate(cases()):
        replay = Replay(case["in"]["entries"])
        pi = {message["timestamp"] for message in case["context"]["messages"]}
        if pi & replay.work.keys() != replay.stay & replay.work.keys():
            differing[number] = replay.why(pi)
        assert replay.said <= replay.stay
        if missing := replay.said - pi:
            less.append(number)
            lost += len(missing)
    assert (differing, tuple(less), lost) == (STAYS, WORDS, 52)


class Replay:
    """The recorded entries as a session of ours; each message has its timestamp for a text.

    Attributes:
        work: timestamps of all replies and results that a session can hold, each with that of its reply.
        said: those of users' words.
        refused: how many compactions reached less far than the one before.
        held: replies of turns that were the last one when Pi's compaction took them out too.
    """

    def __init__(self, entries: Sequence[Json]) -> None:
        self.session = Session()
        self.work: dict[int, int] = {}
        self.said: set[int] = set()
        self.refused = 0
        self.held: set[int] = set()
        self._turns: dict[int, int] = {}
        places = {entry["id"]: place for place, entry in enumerate(entries)}
        for place, entry in enumerate(entries):
            match role(entry):
                case "user":
                    self._hear(entry["message"]["timestamp"])
                case "branch_summary":
                    self.session.apply(Heard(user("branch", "notice")))
                case "assistant":
                    self._turn(place, entry["message"]["timestamp"], answers(entries[place + 1 :]))
                case "compaction":
                    self._compact(min(place, places.get(entry["firstKeptEntryId"], place)))

    @property
    def stay(self) -> set[int]:
        """The timestamps of what the model still sees."""
        texts = [message.content[0].text for message in self.session.messages if isinstance(message.content[0], Text)]
        return {int(text) for text in texts if text.isdecimal()}

    def why(self, pi: set[int]) -> str:
        """Why something else stays than in Pi."""
        more, less = self.stay & self.work.keys() - pi, pi & self.work.keys() - self.stay
        if self.refused and not more:
            return "what was taken out does not come back"
        if more and not less and {self.work[stamp] for stamp in more} <= self.held:
            return "the last turn stays"
        torn = all(self.work[stamp] != stamp and self.work[stamp] not in pi for stamp in less)
        return "no turn is torn" if torn and not more else "unknown"

    def _hear(self, stamp: int) -> None:
        self.said.add(stamp)
        self.session.apply(Heard(user(str(stamp))))

    def _turn(self, place: int, stamp: int, results: Sequence[int]) -> None:
        turn = self.session.turn + 1
        self._turns[turn] = place
        self.work |= dict.fromkeys((stamp, *results), stamp)
        calls = [ToolCall(f"r{result}", "bash", "{}") for result in results]
        self.session.apply(Replied(turn, AssistantMessage((Text(str(stamp)), *calls))))
        for result in results:
            self.session.apply(Finished(turn, ToolResult(f"r{result}", "bash", (Text(str(result)),))))
        self.session.apply(Checkpoint(turn))

    def _compact(self, first: int) -> None:
        through = max((turn for turn, place in self._turns.items() if place < first), default=0)
        if through and through == self.session.turn:
            self.held.add(max(self.work.values()))
            through = self.session.turn - 1
        try:
            self.session.apply(Compacted(self.session.turn, through, Summary("notes")))
        except ValueError:
            self.refused += through < self.session.through


def role(entry: Json) -> str:
    return str(entry["message"]["role"] if entry["type"] == "message" else entry["type"])


def answers(entries: Sequence[Json]) -> list[int]:
    """Timestamps of the results that follow a reply before anything else is said."""
    said = (entry for entry in entries if role(entry) not in {"thinking_level_change", "compaction"})
    return [entry["message"]["timestamp"] for entry in takewhile(lambda entry: role(entry) == "toolResult", said)]
