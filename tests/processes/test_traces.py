import asyncio
import fcntl
import hashlib
import resource
from pathlib import Path

import pytest

from kugetsu.processes import Confinement
from kugetsu.processes.groups import Group
from kugetsu.processes.traces import Traces
from processes.confined import LIMITS


def known(traces: Traces) -> list[tuple[list[str], bool]]:
    """The groups of the others, and whether each of these is dead."""
    return [([place.path for place in group.places], dead) for group, dead in traces.others()]


def group_of(home: Path, token: str) -> str:
    return f"kugetsu-{hashlib.sha256(bytes(home.resolve())).hexdigest()[:8]}-1-{token}"


def test_a_program_that_lives_is_known_and_one_that_is_gone_is_dead(tmp_path: Path) -> None:
    one, other = Traces(tmp_path, "one"), Traces(tmp_path, "other")
    one.leave([f"/nowhere/{one.group}"])
    assert known(other) == [([f"/nowhere/{one.group}"], False)]
    (tmp_path / "groups" / "gone").write_text(f"/nowhere/{group_of(tmp_path, 'gone')}\n")
    assert ([f"/nowhere/{group_of(tmp_path, 'gone')}"], True) in known(other)
    one.clear()
    assert not other.any_others()


def test_only_groups_of_this_state_directory_and_program_are_ended(tmp_path: Path) -> None:
    home = tmp_path / "home"
    ours = group_of(home, "deadbeef")
    strangers = [
        tmp_path / "outer",
        tmp_path / "outer" / ours[:-1],
        tmp_path / "outer" / group_of(home, "another"),
        tmp_path / "outer" / group_of(tmp_path / "other home", "deadbeef"),
    ]
    for path in (*strangers, tmp_path / ours):
        (path / "empty").mkdir(parents=True)
    trace = home / "groups" / "deadbeef"
    trace.parent.mkdir(parents=True)
    lines = [*map(str, strangers), ours, f"{tmp_path}/{ours}/..", str(tmp_path / ours), "", str(tmp_path / "ou")]
    trace.write_text("\n".join(lines))
    asyncio.run(Confinement.find(home, LIMITS).close())
    assert all((path / "empty").is_dir() for path in strangers)
    assert not (tmp_path / ours).exists()
    assert not trace.exists()


def test_a_program_that_is_just_starting_is_not_taken_for_a_dead_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = Traces(tmp_path, "one"), Traces(tmp_path, "other")
    lock, seen = fcntl.flock, list[tuple[list[str], bool]]()

    def look_and_lock(file: int, operation: int) -> None:
        if operation == fcntl.LOCK_EX:  # it is the one that starts
            seen.extend(known(other))
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", look_and_lock)
    one.leave([f"/nowhere/{one.group}"])
    assert seen == []
    assert known(other) == [([f"/nowhere/{one.group}"], False)]
    one.clear()


def test_a_trace_that_does_not_fit_on_the_disk_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    one = Traces(tmp_path, "one")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(OSError, match="large"):
            one.leave([f"/nowhere/{one.group}"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((tmp_path / "groups").iterdir()) == []


def test_a_trace_that_cannot_be_read_hides_no_other_and_is_told(tmp_path: Path) -> None:
    one, other = Traces(tmp_path, "one"), Traces(tmp_path, "other")
    one.leave([f"/nowhere/{one.group}"])
    loop = tmp_path / "groups" / "loop"
    loop.symlink_to(loop)
    found = list[tuple[Group, bool]]()
    with pytest.raises(OSError, match="loop"):
        found.extend(other.others())
    assert [dead for _, dead in found] == [False]
    one.clear()
