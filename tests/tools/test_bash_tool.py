import asyncio
import os
import resource
import signal
import time
from pathlib import Path

import msgspec
import pytest

from kugetsu.config import ToolSettings
from kugetsu.processes import end_marked
from kugetsu.processes.census import marked
from kugetsu.tools.bash import BashArguments
from tools.toolbench import ToolBench


@pytest.fixture
def box(tmp_path: Path) -> ToolBench:
    return ToolBench(tmp_path)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def pid_in(path: Path) -> int:
    for _ in range(500):
        if path.exists() and (text := path.read_text().strip()):
            return int(text)
        await asyncio.sleep(0.01)
    raise AssertionError(f"{path} was never written")


def logs(box: ToolBench) -> list[Path]:
    return list(box.scratch.iterdir()) if box.scratch.exists() else []


async def test_both_outputs_are_shown_in_the_order_they_were_printed(box: ToolBench) -> None:
    assert await box.text("bash", command="echo one; echo two >&2; echo three; pwd") == f"one\ntwo\nthree\n{box.root}"
    assert logs(box) == []


async def test_silence_is_said(box: ToolBench) -> None:
    assert await box.text("bash", command="true") == "(no output)"


async def test_a_command_reads_nothing_and_sees_no_key(box: ToolBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-1")
    assert await box.text("bash", command='cat; echo "[$SOME_API_KEY]"') == "[]"


async def test_a_failed_command_ends_with_its_exit_code(box: ToolBench) -> None:
    assert await box.failure("bash", command="echo oops >&2; exit 3") == "oops\n\nCommand exited with code 3"
    assert await box.failure("bash", command="exit 129") == "(no output)\n\nCommand exited with code 129"
    assert (await box.failure("bash", command="if")).endswith("Command exited with code 2")


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("kill -9 $$", "The shell was ended by SIGKILL (9)\n\nCommand exited with code 137"),
        ("sh -c 'kill -9 $$'; exit $?", "A process was ended by SIGKILL (9)\n\nCommand exited with code 137"),
        ("kill -TERM $$", "The shell was ended by SIGTERM (15)\n\nCommand exited with code 143"),
    ],
)
async def test_a_signal_is_named(box: ToolBench, command: str, shown: str) -> None:
    assert (await box.failure("bash", command=command)).endswith(shown)


async def test_the_end_of_a_long_output_is_shown_and_the_whole_kept(box: ToolBench) -> None:
    shown = await box.text("bash", command="seq 1 2500")
    (log,) = logs(box)
    assert shown == "\n".join(map(str, range(501, 2501))) + f"\n\n[Showing lines 501-2500 of 2500. Full output: {log}]"
    assert log.read_text() == "".join(f"{n}\n" for n in range(1, 2501))
    assert (await box.text("read", path=str(log), limit=1)).startswith("1\n")


async def test_wide_output_is_cut_by_bytes(box: ToolBench) -> None:
    shown = await box.text("bash", command="for i in $(seq 100); do printf '%01023d\\n' $i; done")
    (log,) = logs(box)
    content, _, notice = shown.rpartition("\n\n")
    assert notice == f"[Showing lines 51-100 of 100 (50.0KB limit). Full output: {log}]"
    assert content.startswith("0" * 1021 + "51\n")


async def test_of_one_endless_line_the_end_is_shown(box: ToolBench) -> None:
    shown = await box.text("bash", command="head -c 300000 /dev/zero | tr '\\0' x; printf END")
    (log,) = logs(box)
    content, _, notice = shown.rpartition("\n\n")
    assert notice == f"[Showing the last 50.0KB of line 1. Full output: {log}]"
    assert content == "x" * (51_200 - 3) + "END"


async def test_the_exit_code_comes_after_the_notice(box: ToolBench) -> None:
    shown = await box.failure("bash", command="seq 1 3000; exit 4")
    assert shown.endswith(".log]\n\nCommand exited with code 4")


async def test_colours_progress_bars_and_odd_bytes_become_plain_text(box: ToolBench) -> None:
    command = r"printf '\033[31mred\033[0m\n10%%\r99%%\r\nbad \377 byte \0 nul\n'"
    assert await box.text("bash", command=command) == "red\n99%\nbad \ufffd byte  nul"


async def test_a_command_that_takes_too_long_is_ended_and_its_output_kept(box: ToolBench) -> None:
    started = time.monotonic()
    shown = await box.failure("bash", command="echo begun; (sleep 100 & echo $! > child); sleep 100", timeout=0.3)
    assert shown == (
        "begun\n\n"
        "Command timed out after 0.3 seconds (`timeout` may be up to 600) and was ended with everything it started"
    )
    assert time.monotonic() - started < 10
    assert not alive(await pid_in(box.root / "child"))


async def test_no_call_may_ask_for_more_time_than_is_allowed(tmp_path: Path) -> None:
    box = ToolBench(tmp_path, ToolSettings(bash_seconds=0.1, bash_seconds_max=0.3))
    assert "0.1 seconds" in await box.failure("bash", command="sleep 9")
    assert "0.3 seconds (the most that is allowed)" in await box.failure("bash", command="sleep 9", timeout=3600)
    assert "Time limit 0.1 seconds" in box.tools["bash"].description
    assert "at most 0.3" in box.tools["bash"].description


@pytest.mark.parametrize("timeout", ["0", "-1", '"nan"'])
def test_a_time_limit_that_is_none_does_not_fit(timeout: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(f'{{"command": "true", "timeout": {timeout}}}', type=BashArguments, strict=False)


async def test_a_background_child_neither_holds_the_call_nor_dies_with_it(box: ToolBench) -> None:
    box.environment["KUGETSU_TEST"] = str(box.root)
    started = time.monotonic()
    script = "(sleep 0.3; echo later; echo more; sleep 100) & echo $! > child; echo ok"
    shown = await box.text("bash", command=script)
    (log,) = logs(box)
    assert shown == f"ok\n\n[A process in the background goes on; its output goes to {log}]"
    assert time.monotonic() - started < 50
    while log.read_text() != "ok\nlater\nmore\n":
        await asyncio.sleep(0.01)
    assert alive(await pid_in(box.root / "child"))
    await end_marked("KUGETSU_TEST", str(box.root))


async def test_a_background_child_with_an_output_of_its_own_is_no_news(box: ToolBench) -> None:
    box.environment["KUGETSU_TEST"] = str(box.root)
    assert await box.text("bash", command="sleep 100 > /dev/null 2>&1 & echo $! > child; echo ok") == "ok"
    assert alive(await pid_in(box.root / "child"))
    await end_marked("KUGETSU_TEST", str(box.root))


async def test_the_reader_left_behind_ends_with_the_last_writer(box: ToolBench) -> None:
    box.environment["KUGETSU_TEST"] = str(box.root)
    await box.text("bash", command="sleep 0.2 & true")
    async with asyncio.timeout(20):
        while marked("KUGETSU_TEST", str(box.root)):
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "command",
    ["echo one; echo two > /dev/stderr; echo three", "echo one; echo two | tee /dev/stderr > /dev/null; echo three"],
)
async def test_opening_an_output_anew_loses_nothing(box: ToolBench, command: str) -> None:
    assert await box.text("bash", command=command) == "one\ntwo\nthree"


async def test_a_full_disk_costs_the_file_but_neither_the_command_nor_the_end_of_its_output(box: ToolBench) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        shown = await box.text("bash", command="seq 1 3000")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    (log,) = logs(box)
    assert shown.endswith(
        f"\n3000\n\n[Showing lines 1001-3000 of 3000. Full output: {log}, but not all of it: File too large]"
    )


async def test_a_scratch_that_cannot_be_made_is_told(box: ToolBench) -> None:
    box.scratch.write_text("in the way")
    assert "nowhere, since the file could not be made" in await box.text("bash", command="seq 1 3000")


async def test_a_cancelled_command_is_ended_and_leaves_nothing(box: ToolBench) -> None:
    running = asyncio.create_task(
        box.call("bash", command="echo $$ > leader; trap '' TERM; sleep 100 & wait; sleep 100")
    )
    leader = await pid_in(box.root / "leader")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not alive(leader)
    assert logs(box) == []


async def test_news_are_told_while_a_command_runs_and_bounded(box: ToolBench) -> None:
    command = "echo first; sleep 0.4; seq 1 100000; printf '\\033[1mlast\\033[0m'; sleep 0.4; echo end"
    await box.text("bash", command=command)
    assert box.told[0] == "first\n"
    assert box.told[-1].endswith("100000\nlast")
    assert sum(map(len, box.told)) < 10_000


async def test_a_command_that_prints_without_end_is_ended(box: ToolBench) -> None:
    shown = await box.failure("bash", command="yes", timeout=60)
    assert shown.endswith("Command was ended because it printed more than 100.0MB")
    (log,) = logs(box)
    assert log.stat().st_size < 110_000_000


async def test_many_commands_at_once_leave_no_descriptor_open(box: ToolBench) -> None:
    async def one(number: int) -> None:
        command = ["true", "seq 3000", "exit 3", "sleep 9", "yes | head -c 300000"][number % 5]
        await box.call("bash", command=command, timeout=0.3)

    await one(0)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names alone
    await asyncio.gather(*map(one, range(20)))
    assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208 - names alone


async def test_several_commands_run_at_the_same_time(box: ToolBench) -> None:
    started = time.monotonic()
    await asyncio.gather(*(box.text("bash", command="sleep 0.3") for _ in range(5)))
    assert time.monotonic() - started < 1.4


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("echo a\0b", "NUL character"),
        ("x" * 200_000, "200000 bytes, above the 120000"),
        ("echo \ud800", "half a character"),
    ],
)
async def test_a_command_that_cannot_be_passed_on_is_refused(box: ToolBench, command: str, message: str) -> None:
    with pytest.raises(Exception, match=message):
        await box.tools["bash"].run(BashArguments(command), box.context)


async def test_a_lost_worktree_and_a_lost_shell_are_told(box: ToolBench) -> None:
    box.environment["PATH"] = "/nowhere"
    assert "could not be run: [Errno 2]" in await box.refusal("bash", command="true")
    assert logs(box) == []
    box.environment["PATH"] = os.environ["PATH"]
    box.root.rmdir()
    assert "could not be run: [Errno 2]" in await box.refusal("bash", command="true")


async def test_the_shell_gets_usual_signals(box: ToolBench) -> None:
    # Python ignores SIGPIPE; a command must not inherit that.
    assert (await box.failure("bash", command="set -o pipefail; yes | head -1")).startswith("y\n")
    assert signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN
