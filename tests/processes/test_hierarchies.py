from pathlib import Path

from kugetsu.processes.groups import Place
from kugetsu.processes.hierarchies import own_places, usable

DOCKER = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro,nosuid master:5 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory
39 31 0:36 /elsewhere /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
"""

DOCKER_GROUPS = """\
8:pids:/docker/abc
4:memory:/docker/abc/inner
1:cpu,cpuacct:/docker/abc
9:name=systemd:/docker/abc
0::/docker/abc
"""


def found(directory: Path, mounts: str, groups: str) -> list[Place]:
    (directory / "mountinfo").write_text(mounts)
    (directory / "cgroup").write_text(groups)
    return own_places(directory)


def test_groups_of_version_1_are_found_below_what_is_mounted(tmp_path: Path) -> None:
    assert found(tmp_path, DOCKER, DOCKER_GROUPS) == [
        Place("/sys/fs/cgroup/memory/inner", 1, ("memory",)),
        Place("/sys/fs/cgroup/cpu,cpuacct", 1, ("cpu", "cpuacct")),
        Place("/sys/fs/cgroup/systemd/docker/abc", 1, ("name=systemd",)),
    ]


def test_a_group_of_version_2_says_itself_what_it_can_limit(tmp_path: Path) -> None:
    mounted = tmp_path / "two words"
    group = mounted / "user.slice" / "k.service"
    group.mkdir(parents=True)
    (group / "cgroup.controllers").write_text("cpuset cpu memory pids\n")
    line = f"25 1 0:30 / {tmp_path}/two\\040words rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
    places = found(tmp_path, line, "0::/user.slice/k.service\n")
    assert places == [Place(str(group), 2, ("cpuset", "cpu", "memory", "pids"))]
    assert usable(places) == [Place(str(group), 2, ("memory", "pids", "cpu"))]


def test_every_controller_is_used_once_and_version_2_first() -> None:
    two = Place("/two", 2, ("pids",))
    memory, pids, cpu = Place("/m", 1, ("memory",)), Place("/p", 1, ("pids",)), Place("/c", 1, ("cpu", "cpuacct"))
    assert usable([two, memory, pids, cpu]) == [two, memory, Place("/c", 1, ("cpu",))]


def test_without_controllers_a_group_of_version_2_still_finds_processes() -> None:
    assert usable([Place("/two", 2, ("hugetlb",)), Place("/s", 1, ("name=systemd",))]) == [Place("/two", 2)]
    assert usable([Place("/s", 1, ("name=systemd",))]) == []


def test_a_machine_without_groups_has_none(tmp_path: Path) -> None:
    assert own_places(tmp_path / "nothing") == []
    assert found(tmp_path, "21 1 0:20 / /proc rw - proc proc rw\n", "") == []
    assert found(tmp_path, "21 1 0:20 / /proc rw - proc proc rw\n", "0::/\n") == []
