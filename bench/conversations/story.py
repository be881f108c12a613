"""A long piece of work, written down beforehand: the files of a project, and what an agent says and calls, turn by turn.

Always the same. The agent works on a few files at a time, as agents do: it searches, reads, reads again what it has
changed, edits, and runs the tests. Every turn has one output of about 20 KB, and 60 to 100 tokens of words.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from kugetsu.context import estimate_text

OUTPUT: Final = 20_000
"""Characters of one output."""

_FILES: Final = 24
_PHASE: Final = 25
"""Turns that the agent spends on the same few files."""

_AT_ONCE: Final = 4
"""Files that it works on in one phase."""

_LEAST_WORDS: Final = 62
"""Tokens of the words of a turn; with the last sentence at most about a hundred."""

_LOG_LINES: Final = 20_000
_LOG: Final = "build/tests.log"

_NOUNS: Final = (  # noqa: SIM905 - a line for each word reads worse
    "order invoice ledger parcel tariff voucher account refund basket courier depot waybill manifest quota session token "
    "record bucket window schema cursor branch digest envelope receipt margin surcharge region carrier contract"
).split()
_VERBS: Final = (  # noqa: SIM905 - as above
    "apply book cancel check close collect compare convert count deliver load match merge move open pack parse plan price "
    "queue read reserve round send settle sort split store sum track update verify write"
).split()
_SENTENCES: Final = (
    "The {noun} is computed twice in {path}, once before rounding and once after, which explains the cent that is missing.",
    "I keep the signature of `{name}` as it is, because three callers outside of this module pass it by position.",
    "The test that fails compares the {noun} with the {other} of the day before, so the clock has to be injected there too.",
    "Nothing in the log speaks against that; the warnings about the {noun} were there before my change.",
    "Next I look at how `{name}` handles an empty {noun}, since the ticket mentions exactly that case.",
    "The fixture builds a {noun} without a {other}, and `{name}` trusts that there is one.",
    "I will change {path} first and run its own tests before I touch anything that depends on it.",
    "This confirms that the {noun} goes through `{name}` only once, so caching it would gain nothing.",
    "The number of failures went down to {number}, and all that are left come from {path}.",
    "There is a second place that does the same for a {other}; both should share one function in the end.",
)
_ASKED: Final = (
    "Totals of orders with several vouchers are wrong by a cent, and sometimes the refund is larger than the invoice. Find out "
    "why and repair it in the whole project, not only where it shows first. Keep the public functions as they are: other "
    "teams import them. Amounts are integers in cents everywhere; never use floats for money. Every repair needs a test that "
    "fails without it. Do not touch the customs module, which is being rewritten. When you are done, say which modules had "
    "the mistake and how the tests prove that it is gone."
)
SAID_LATER: Final = {
    60: "Please keep the old names of the voucher functions as aliases, the mobile team still uses them.",
    180: "The tariff tables come from finance. If one looks wrong, write it down in NOTES.md and do not change it.",
    360: "Run the whole test suite once more before you stop; the courier tests were flaky last week.",
}
"""What the user says in the middle of it, by turn."""


class Call(msgspec.Struct, frozen=True):
    """A tool call."""

    name: str
    arguments: dict[str, Any]


class Turn(msgspec.Struct, frozen=True):
    """What the agent says, and what it calls."""

    words: str
    calls: tuple[Call, ...]


class Story(msgspec.Struct, frozen=True):
    """All of it.

    Attributes:
        prompt: the task.
        files: of the project, by path.
        turns: of the agent; after the last one it is done.
        notes: what is written when a summary is asked for: about 1,500 tokens.
    """

    prompt: str
    files: Mapping[str, str]
    turns: Sequence[Turn]
    notes: str


def write_story(turns: int) -> Story:
    """Write so many turns."""
    rng = random.Random(20_000)  # noqa: S311 - the same story each time
    author = _Author(rng)
    files = {**author.files, _LOG: _log(rng), "check": f"tail -c +$1 {_LOG} | head -c {OUTPUT}\n"}
    told = tuple(author.turn(number) for number in range(turns))
    return Story(_ASKED, files, told, _notes(rng))


class _Author:
    """Writes turns; knows what the files hold after each."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.files = {f"src/shop/{_NOUNS[number]}s.py": _module(rng, number) for number in range(_FILES)}
        self._now = dict(self.files)
        self._hot: list[str] = []
        self._places = dict.fromkeys(self.files, 0)

    def turn(self, number: int) -> Turn:
        """The next turn: search, read, read, edit and test, read again or test."""
        if number % _PHASE == 0:
            self._hot = self._rng.sample(sorted(self.files), _AT_ONCE)
        path = self._rng.choice(self._hot)
        return Turn(_words(self._rng, path), tuple(self._calls(path, number)))

    def _calls(self, path: str, number: int) -> Iterator[Call]:
        match number % 5:
            case 0:
                yield self._search(number)
            case 3:
                yield self._edit(path, number)
                yield self._test(number)
            case 4 if number % 2 == 0:
                yield self._test(number)
            case _:
                yield Call("read", {"path": path})

    def _search(self, number: int) -> Call:
        word = _NOUNS[number % len(_NOUNS)]
        return Call("bash", {"command": f"grep -rn -B2 -A2 {word} src | sort | head -c {OUTPUT}"})

    def _test(self, number: int) -> Call:
        return Call("bash", {"command": f"bash check {number * 7_919 % 900_000}"})

    def _edit(self, path: str, number: int) -> Call:
        """Change one function of a file, another one each time."""
        parts = self._now[path].split("\n\n\n")
        place = self._places[path] = self._places[path] % (len(parts) - 1) + 1
        old = parts[place]
        lines = old.split("\n")
        lines.insert(
            -1, f"    # Cents stay whole: what is left over goes to the last {_NOUNS[number % 30]} (step {number})."
        )
        new = "\n".join(lines)
        self._now[path] = self._now[path].replace(old, new)
        return Call("edit", {"path": path, "oldText": old, "newText": new})


def _module(rng: random.Random, number: int) -> str:
    """A module of functions, two blank lines between them."""
    noun = _NOUNS[number]
    parts = [f'"""What the shop does with {noun}s."""\n\nfrom shop import clock, money, stock']
    while sum(map(len, parts)) < OUTPUT:
        parts.append(_function(rng, noun, len(parts)))
    return "\n\n\n".join(parts) + "\n"


def _function(rng: random.Random, noun: str, number: int) -> str:
    verb, other, third = rng.choice(_VERBS), rng.choice(_NOUNS), rng.choice(_NOUNS)
    name = f"{verb}_{noun}_{number}"
    return "\n".join(
        [
            f"def {name}({noun}: dict[str, int], {other}s: list[int], *, limit: int = {rng.randrange(10, 5000)}) -> int:",
            f'    """{verb.capitalize()} a {noun} by its {other}s; never more than the limit."""',
            f"    total = {noun}.get({other!r}, {rng.randrange(100)})",
            f"    for place, {third}_value in enumerate({other}s):",
            f"        if {third}_value > limit or place % {rng.randrange(2, 9)} == 0:",
            f"            total += money.{rng.choice(_VERBS)}({third}_value, {rng.randrange(1, 400)})",
            f"        elif {noun}.get('{third}_{rng.randrange(90)}') is None:",
            f"            stock.{rng.choice(_VERBS)}_{other}(place, clock.today(), total)",
            f"    return min(total, limit) - {rng.randrange(50)}",
        ]
    )


def _log(rng: random.Random) -> str:
    """Lines as test runners print them."""
    lines = []
    for number in range(_LOG_LINES):
        noun, verb = rng.choice(_NOUNS), rng.choice(_VERBS)
        where = f"tests/shop/test_{noun}s.py"
        match rng.randrange(12):
            case 0:
                lines.append(f"{where}:{rng.randrange(400)}: AssertionError: assert {rng.randrange(9999)} == {number}")
            case 1:
                lines.append(f"E       {noun} = {{'{verb}': {rng.randrange(99999)}, 'total': {rng.randrange(9999)}}}")
            case _:
                seconds = rng.random() / 10
                lines.append(f"{where}::test_{verb}_{noun}_{rng.randrange(60)} PASSED [{seconds:.3f}s]")
    return "\n".join(lines)


def _words(rng: random.Random, path: str) -> str:
    words = ""
    while estimate_text(words) < _LEAST_WORDS:
        noun, other = rng.sample(_NOUNS, 2)
        name = f"{rng.choice(_VERBS)}_{noun}_{rng.randrange(40)}"
        words += (
            rng.choice(_SENTENCES).format(noun=noun, other=other, name=name, path=path, number=rng.randrange(90)) + " "
        )
    return words.strip()


def _notes(rng: random.Random) -> str:
    notes = "## Goal\n- totals without a missing cent\n\n## Done"
    while estimate_text(notes) < 1_500:  # noqa: PLR2004 - see `Story.notes`
        notes += f"\n- {_words(rng, f'src/shop/{rng.choice(_NOUNS)}s.py')}"
    return notes
