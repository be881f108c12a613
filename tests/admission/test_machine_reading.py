import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admission.machine_lab import MIB, Lab, stat_v1, stat_v2
from kugetsu.admission import Machine, MachineReader
from kugetsu.protocols import SystemClock


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_a_system_without_groups_is_read_as_it_says(lab: Lab) -> None:
    lab.system(total=2000, available=900, swap=512, swap_free=100)
    lab.pressure(memory=1.25, io=33.0, cpu=70.5)
    found = lab.read()
    assert (found.memory_total, found.memory_available) == (2000 * MIB, 900 * MIB)
    assert (found.swap_total, found.swap_free, found.swap_filled) == (512 * MIB, 100 * MIB, 0)
    assert (found.memory_pressure, found.io_pressure, found.cpu_pressure) == (1.25, 33.0, 70.5)


def test_where_nothing_can_be_read_nothing_is_known_and_nothing_fails(lab: Lab) -> None:
    assert lab.read() == Machine(
        cores=float(len(os.sched_getaffinity(0))), disk_free=lab.read().disk_free, files_free=lab.read().files_free
    )


def test_a_container_of_version_2_has_what_its_limit_leaves(lab: Lab) -> None:
    lab.system(total=64_000, available=50_000)
    lab.member("0::/")
    lab.unified(memory__max=1024 * MIB, memory__current=900 * MIB, memory__stat=stat_v2(inactive=200, active=50))
    found = lab.read()
    assert (found.memory_total, found.memory_available) == (1024 * MIB, (1024 - 900 + 250) * MIB)


def test_what_the_system_has_left_counts_where_the_group_would_allow_more(lab: Lab) -> None:
    lab.system(total=4000, available=100)
    lab.member("0::/")
    lab.unified(memory__max=2000 * MIB, memory__current=100 * MIB)
    assert lab.read().memory_available == 100 * MIB


def test_the_tightest_of_all_groups_around_counts(lab: Lab) -> None:
    lab.system(total=8000, available=7000)
    lab.member("0::/system.slice/kugetsu.service/daemon")
    lab.unified(memory__max="max")
    lab.unified("system.slice", memory__max=3000 * MIB, memory__current=2900 * MIB, memory__stat="")
    lab.unified("system.slice/kugetsu.service", memory__max=2000 * MIB, memory__current=500 * MIB)
    lab.unified("system.slice/kugetsu.service/daemon", memory__max="max", memory__current=200 * MIB)
    found = lab.read()
    assert (found.memory_total, found.memory_available) == (2000 * MIB, 100 * MIB)


def test_a_group_that_is_slowed_down_above_a_mark_has_that_for_a_limit(lab: Lab) -> None:
    lab.system()
    lab.member("0::/a")
    lab.unified("a", memory__max=1000 * MIB, memory__high=600 * MIB, memory__current=500 * MIB)
    assert lab.read().memory_available == 100 * MIB


def test_a_group_above_its_limit_has_nothing_left(lab: Lab) -> None:
    lab.system()
    lab.member("0::/a")
    lab.unified("a", memory__high=600 * MIB, memory__current=700 * MIB)
    assert lab.read().memory_available == 0


def test_the_pressure_of_a_limited_group_counts_beside_the_systems(lab: Lab) -> None:
    lab.system()
    lab.pressure(memory=2.0)
    lab.member("0::/a")
    lab.unified("a", memory__max=600 * MIB, memory__current=1, memory__pressure="some avg10=44.10 avg60=0.0 total=1")
    assert lab.read().memory_pressure == 44.1


def test_a_container_of_version_1_has_what_its_limit_leaves(lab: Lab) -> None:
    lab.system(total=64_000, available=50_000)
    lab.member("9:name=systemd:/docker/c0ffee", "4:memory:/docker/c0ffee", "2:cpu,cpuacct:/docker/c0ffee", "0::/")
    # The container sees its own part only, so that the path begins further out.
    lab.old(
        "memory",
        memory__limit_in_bytes=512 * MIB,
        memory__usage_in_bytes=500 * MIB,
        memory__stat=stat_v1(inactive=30, active=20),
    )
    lab.old("cpu,cpuacct", cpu__cfs_quota_us=50_000, cpu__cfs_period_us=100_000)
    found = lab.read()
    assert (found.memory_total, found.memory_available) == (512 * MIB, 62 * MIB)
    assert found.cores == 0.5


def test_version_1_without_a_limit_shows_a_huge_number_that_is_none(lab: Lab) -> None:
    lab.system(total=2000, available=900)
    lab.member("4:memory:/a")
    lab.old("memory", "a", memory__limit_in_bytes=9223372036854771712, memory__usage_in_bytes=5)
    found = lab.read()
    assert (found.memory_total, found.memory_available) == (2000 * MIB, 900 * MIB)


def test_groups_of_version_1_that_do_not_count_what_is_in_them_are_passed_over(lab: Lab) -> None:
    lab.system()
    lab.member("4:memory:/outer/inner")
    lab.old("memory", "outer/inner", memory__limit_in_bytes=500 * MIB, memory__usage_in_bytes=100 * MIB)
    tight = {"memory__limit_in_bytes": 100 * MIB, "memory__usage_in_bytes": 99 * MIB}
    lab.old("memory", "outer", memory__use_hierarchy=0, **tight)
    assert lab.read().memory_available == 400 * MIB


def test_a_machine_with_both_versions_is_limited_by_either(lab: Lab) -> None:
    lab.system()
    lab.member("4:memory:/a", "0::/b")
    lab.old("memory", "a", memory__limit_in_bytes=500 * MIB, memory__usage_in_bytes=100 * MIB)
    lab.write(lab.groups / "unified" / "b" / "memory.max", f"{300 * MIB}\n")
    lab.write(lab.groups / "unified" / "b" / "memory.current", f"{50 * MIB}\n")
    assert lab.read().memory_available == 250 * MIB


@pytest.mark.parametrize(
    ("quota", "cores"), [("25000 100000", 0.25), ("max 100000", None), ("0 0", None), ("", None), ("9 0", None)]
)
def test_a_quota_of_processor_time_counts_as_processors(lab: Lab, quota: str, cores: float | None) -> None:
    lab.member("0::/a")
    lab.unified("a", cpu__max=quota)
    assert lab.read().cores == (cores or float(len(os.sched_getaffinity(0))))


def test_a_process_that_is_moved_to_another_group_has_what_that_has(lab: Lab) -> None:
    lab.system()
    lab.unified("a", memory__max=500 * MIB, memory__current=0)
    lab.unified("b", memory__max=300 * MIB, memory__current=0)
    lab.member("0::/a")
    before = lab.read()
    lab.member("0::/b")
    lab.clock.advance(1)
    assert [before.memory_available, lab.read().memory_available] == [500 * MIB, 300 * MIB]


def test_a_path_that_leads_out_of_what_can_be_seen_is_not_followed(lab: Lab) -> None:
    lab.system()
    lab.unified(memory__max=700 * MIB, memory__current=0)
    lab.write(lab.groups.parent / "other" / "memory.max", f"{100 * MIB}\n")
    lab.member("0::/../other")
    assert lab.read().memory_available == 700 * MIB


def test_a_quota_that_changes_is_seen_after_a_while(lab: Lab) -> None:
    lab.member("0::/a")
    found = []
    for quota in ("10000 100000", "20000 100000", "30000 100000"):
        lab.unified("a", cpu__max=quota)
        found.append(lab.read().cores)
        lab.clock.advance(16)
    assert found == [0.1, 0.1, 0.3]


@pytest.mark.parametrize("path", ["/../../../etc", "/gone (deleted)", "", "relative", "/a/../../b", "/" + "x" * 5000])
def test_a_strange_path_of_a_group_leads_to_the_outermost_that_can_be_seen(lab: Lab, path: str) -> None:
    lab.system()
    lab.unified(memory__max=700 * MIB, memory__current=0)
    lab.member(f"0::{path}")
    assert lab.read().memory_available == 700 * MIB


def test_swap_that_is_being_filled_is_seen_over_ten_seconds(lab: Lab) -> None:
    filled = []
    for free in (500, 480, 450, 450, 470):
        lab.system(swap=512, swap_free=free)
        filled.append(lab.read().swap_filled // MIB)
        lab.clock.advance(4)
    # The last one looks back to 450: the oldest of the last ten seconds.
    assert filled == [0, 20, 50, 30, 0]


def test_a_reading_is_kept_for_half_a_second(lab: Lab) -> None:
    lab.system(available=900)
    first = lab.read()
    lab.system(available=100)
    lab.clock.advance(0.4)
    assert lab.read() is first
    lab.clock.advance(0.2)
    assert lab.read().memory_available == 100 * MIB


def test_the_disk_of_a_state_directory_that_is_not_there_yet_is_that_of_its_parent(tmp_path: Path) -> None:
    found = MachineReader(tmp_path / "not" / "there", SystemClock(), proc=tmp_path)()
    whole = os.statvfs(tmp_path)
    assert found.disk_free is not None
    assert abs(found.disk_free - whole.f_bavail * whole.f_frsize) < 500 * MIB


def test_a_file_system_that_does_not_count_its_blocks_leaves_the_disk_unknown(tmp_path: Path) -> None:
    found = MachineReader(Path("/proc/self"), SystemClock(), proc=tmp_path)()
    assert (found.disk_free, found.files_free) == (None, None)


@pytest.mark.parametrize("home", ["file/below", "nul\0byte"])
def test_a_state_directory_that_cannot_be_looked_at_leaves_the_disk_unknown(tmp_path: Path, home: str) -> None:
    (tmp_path / "file").write_text("no directory")
    assert MachineReader(tmp_path / home, SystemClock(), proc=tmp_path)().disk_free is None


_FILES = (
    "proc/meminfo",
    "proc/self/cgroup",
    "proc/pressure/memory",
    "cgroup/memory.max",
    "cgroup/memory.current",
    "cgroup/memory.stat",
    "cgroup/cpu.max",
    "cgroup/memory/memory.limit_in_bytes",
    "cgroup/cpu/cpu.cfs_quota_us",
)
_STRANGE = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(
        [b"-1\n", b"1" * 30, b"\xff\xfe", b"\0" * 50, b"some avg10=nan \n", b"some avg10=-1.0 x", b"1 0\n"]
    ),
    st.sampled_from(
        [b"MemTotal: 99999999999999999999999 kB\nMemAvailable: x kB\n", b"4:memory:/\xff\n0::/\0\n", b"\n"]
    ),
)


@given(st.dictionaries(st.sampled_from(_FILES), _STRANGE))
def test_strange_bytes_never_fail_and_never_make_a_number_below_nothing(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    directory = tmp_path_factory.mktemp("strange")
    lab = Lab(directory)
    lab.system()
    lab.member("4:memory:/", "2:cpu:/", "0::/")
    lab.unified(memory__max=700 * MIB)
    for name, data in files.items():
        lab.write(directory / name, data)
    found = lab.read()
    assert (found.memory_available or 0) >= 0
    assert found.cores > 0
    assert 0 <= (found.memory_pressure or 0) < 1000


def test_directories_and_pipes_in_place_of_files_are_as_good_as_missing(lab: Lab) -> None:
    (lab.proc / "meminfo").mkdir(parents=True)
    (lab.proc / "pressure").mkdir()
    os.mkfifo(lab.proc / "pressure" / "memory")
    found = lab.read()
    assert (found.memory_total, found.memory_pressure) == (None, None)


def test_this_machine_can_be_read(tmp_path: Path) -> None:
    found = MachineReader(tmp_path, SystemClock())()
    assert found.memory_total is not None
    assert found.memory_available is not None
    assert 0 < found.memory_available <= found.memory_total
    assert 0 < found.cores <= len(os.sched_getaffinity(0))
    assert found.disk_free is not None
