"""The rule alone: what goes, what stays, and why."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from kugetsu.app.keeping import DAY, Holding, Item, Kind, Rule, decide
from kugetsu.config import DiskSettings

NOW = 1_000 * DAY
RULE = Rule(keep_seconds=14 * DAY)
NUMBERS = itertools.count()


def thing(kind: Kind = "task", *, days: float = 0.0, name: str = "", **more: object) -> Holding:
    name = name or f"t{next(NUMBERS)}"
    fields = {"bytes": 10, "obstacle": "", **more}
    return Holding(kind=kind, name=name, paths=(f"/{name}",), since=NOW - days * DAY, **fields)  # type: ignore[arg-type] # any


def going(*holdings: Holding, rule: Rule = RULE) -> list[str]:
    return [item.holding.name for item in decide(holdings, rule, NOW) if item.goes]


def only(holding: Holding, rule: Rule = RULE) -> Item:
    [item] = decide([holding], rule, NOW)
    return item


def test_the_settings_make_the_rule() -> None:
    rule = Rule.of(DiskSettings(most_gb=1.5, keep_days=2))
    assert (rule.keep_seconds, rule.most_bytes, rule.grace_seconds) == (2 * DAY, 1_500_000_000, 3_600)
    assert Rule.of(DiskSettings(), 0) == Rule(keep_seconds=0, most_bytes=20_000_000_000, grace_seconds=0)


def test_time_comes_to_an_end_at_its_last_second() -> None:
    assert not only(thing(days=14 - 1 / 86_400)).goes
    assert only(thing(days=14)).goes


def test_a_mirror_that_is_borrowed_from_goes_with_the_last_of_its_borrowers() -> None:
    mirror = thing("mirror", days=20, borrowers=("a", "b"))
    old, young = thing(days=20, name="a"), thing(days=1, name="b")
    assert going(mirror, old, young) == ["a"]
    assert only(mirror).why == "the repository of task a and 1 more borrows its objects"
    assert going(mirror, old, thing(days=20, name="b")) == [mirror.name, "a", "b"]


def test_a_repository_that_is_borrowed_from_goes_with_its_borrower() -> None:
    lent, borrower = thing(days=20, borrowers=("c",)), thing(days=20, name="c")
    assert going(lent) == []
    assert going(lent, borrower) == [lent.name, "c"]


def test_too_much_takes_the_oldest_that_is_delivered_and_mirrors_last() -> None:
    rule = Rule(keep_seconds=14 * DAY, most_bytes=25)
    needed = thing(days=9, needed="its task is running")
    held = thing(days=8, obstacle="uncommitted files")
    mirror, old, young = thing("mirror", days=9), thing(days=3, name="old"), thing(days=2, name="young")
    assert going(needed, held, mirror, young, old, rule=rule) == [mirror.name, "young", "old"]
    assert going(needed, mirror, young, old, rule=rule) == ["young", "old"]
    assert going(young, old, thing(days=1), rule=rule) == ["old"]
    assert going(young, old, rule=rule) == []


def test_scratch_does_not_count_and_what_takes_nothing_is_no_use() -> None:
    rule = Rule(keep_seconds=14 * DAY, most_bytes=5)
    running = thing("scratch", bytes=100, needed="its task is running")
    assert going(running, thing(days=1, bytes=0), rule=rule) == []


KINDS: list[Kind] = ["task", "unrecorded", "mirror", "aside", "scratch", "rest", "stranger"]


@given(
    st.lists(
        st.builds(
            Holding,
            kind=st.sampled_from(KINDS),
            name=st.sampled_from("abcdef"),
            paths=st.just(("/x",)),
            bytes=st.none() | st.integers(0, 50),
            since=st.floats(0, 2 * NOW),
            needed=st.sampled_from(["", "", "a task runs"]),
            borrowers=st.lists(st.sampled_from("abcdef"), max_size=2).map(tuple),
            merged=st.booleans(),
            wanted=st.booleans(),
            obstacle=st.sampled_from([None, "", "", "work"]),
        ),
        max_size=8,
    ),
    st.integers(0, 100),
)
def test_whatever_there_is_what_is_needed_or_undelivered_stays(holdings: list[Holding], most: int) -> None:
    items = decide(holdings, Rule(keep_seconds=14 * DAY, most_bytes=most), NOW)
    assert [item.holding for item in items] == holdings
    gone = {item.holding.name for item in items if item.goes and item.holding.kind in {"task", "unrecorded"}}
    for item in items:
        assert item.why
        if item.goes:
            assert not item.holding.needed
            assert not item.holding.obstacle
            assert set(item.holding.borrowers) <= gone
            assert item.until == 0.0
