import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from kugetsu.admission import Machine
from kugetsu.app.doctor import Finding, examine, machine_findings
from kugetsu.config import DiskSettings, MachineSettings, QueueSettings, Settings

MIB = 2**20
FINE = Machine(
    memory_total=2000 * MIB,
    memory_available=900 * MIB,
    swap_total=1000 * MIB,
    swap_free=400 * MIB,
    memory_pressure=0.25,
    cores=2.0,
)


def found(machine: Machine, settings: Settings | None = None) -> dict[str, Finding]:
    return {finding.name: finding for finding in machine_findings(settings or Settings(), machine)}


def test_the_doctor_says_what_there_is_and_what_is_made_of_it() -> None:
    assert {name: finding.detail for name, finding in found(FINE).items()} == {
        "memory": "2,000 MB, 900 MB available; below 400 MB fewer commands run at the same time, "
        "below 200 MB only one task and one command run",
        "memory pressure": "0.25 % in the last ten seconds; above 10 % only one task and one command run",
        "swap": "1,000 MB, 400 MB free",
        "slots": "200 tasks and 3 commands at the same time, with 2 cores",
    }
    assert {finding.status for finding in found(FINE).values()} == {"ok"}


def test_where_nothing_can_be_read_nothing_fails() -> None:
    findings = found(Machine())
    assert {finding.status for finding in findings.values()} == {"ok", "optional"}
    assert "psi=1" in findings["memory pressure"].fix
    assert findings["slots"].detail == "200 tasks and 2 commands at the same time, with 1 core"


def test_settings_are_followed() -> None:
    machine = MachineSettings(command_slots=9, reserve_mb=500, pressure_percent=0.0)
    findings = found(FINE, Settings(machine=machine, queue=QueueSettings(slots=7)))
    assert "below 500 MB only one task and one command run" in findings["memory"].detail
    assert findings["memory pressure"].detail.endswith("not looked at (machine.pressure_percent)")
    assert findings["slots"].detail.startswith("7 tasks and 9 commands")


def test_a_reserve_above_all_memory_is_to_be_mended() -> None:
    finding = found(FINE, Settings(machine=MachineSettings(reserve_mb=2000)))["memory"]
    assert (finding.status, finding.fix) == ("missing", "lower `machine.reserve_mb`")


@pytest.mark.parametrize(("available", "status"), [(199, "optional"), (20, "missing")])
def test_memory_that_is_short_is_said_and_missing_at_its_end_only(available: int, status: str) -> None:
    finding = found(replace(FINE, memory_available=available * MIB))["memory"]
    assert finding.status == status
    assert f"memory: {available} MB are available" in finding.detail


def test_a_machine_without_swap_is_fine() -> None:
    assert found(replace(FINE, swap_total=0, swap_free=0))["swap"] == Finding("swap", "ok", "none")


async def test_a_disk_that_is_too_full_for_tasks_is_found(tmp_path: Path) -> None:
    environ = {**os.environ, "KUGETSU_HOME": str(tmp_path)}
    settings = Settings(disk=DiskSettings(least_free_mb=2**40))
    findings = {finding.name: finding for finding in await examine(settings, environ)}
    assert findings["state directory"].status == "missing"
    assert "disk.least_free_mb" in findings["state directory"].detail


async def test_this_machine_is_examined(tmp_path: Path) -> None:
    findings = {finding.name: finding for finding in await examine(Settings(), {"KUGETSU_HOME": str(tmp_path)})}
    assert findings["memory"].status in {"ok", "optional"}
    assert "commands at the same time" in findings["slots"].detail
    assert findings["command limits"].status in {"ok", "optional"}
    assert " MB memory, 1,024 processes each, by " in findings["command limits"].detail


async def test_limits_of_commands_that_cannot_be_tried_fail_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    findings = {finding.name: finding for finding in await examine(Settings(), {"KUGETSU_HOME": str(tmp_path)})}
    assert findings["command limits"].status == "optional"
    assert "TMPDIR" in findings["command limits"].fix
