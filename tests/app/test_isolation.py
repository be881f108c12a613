"""Canaries in each of many shadows at once, searched for in all others: contexts, environments, worktrees, temporary files."""

import json
from pathlib import Path

from kugetsu.app.house import House
from kugetsu.config import ProviderSettings, Settings, WorkspaceSettings
from kugetsu.rehearsal import Script, parse_script
from kugetsu.sessions import encode_entry
from kugetsu.tasks import Task
from kugetsu.testing import ScriptedServer
from support.command_line import CommandLine

NUMBER = 12

COMMANDS = (
    'echo "canary-$KUGETSU_TASK" > mine.txt; echo "canary-$KUGETSU_TASK" > "$TMPDIR/mine.txt"; sleep 0.2',
    'env; ls -la . "$TMPDIR" "$TMPDIR/.."; cat -- *.txt "$TMPDIR"/*; git log --all --oneline; git stash list',
    'git add -A && git commit -qm "canary-$KUGETSU_TASK" && git branch "canary-$KUGETSU_TASK"; git branch -a',
)


def script() -> Script:
    turns = [{"tool_calls": [{"name": "bash", "arguments": {"command": command}}]} for command in COMMANDS]
    return parse_script({"turns": [*turns, {"text": "All done."}]})


async def test_canaries_of_shadows_that_run_at_once_are_found_in_no_other(user: CommandLine) -> None:
    user.make_repo({"a.txt": "a\n"})
    environ = {**user.environ, "MODEL_KEY": "sk-canary-of-the-key", "SECRET_OF_THE_DAEMON": "canary-of-the-daemon"}
    async with ScriptedServer(script(), order="conversation") as server:
        settings = Settings(
            providers={"lab": ProviderSettings(base_url=server.base_url, api_key_env="MODEL_KEY")},
            workspace=WorkspaceSettings(keep=True),
        )
        async with House(settings, user.home, environ) as house:
            tasks = [house.task(str(user.repo), f"prompt-{n}-canary", model="lab/m") for n in range(NUMBER)]
            for task in tasks:
                await house.store.submit(task)
            most = 0

            def room(running: int) -> int:
                nonlocal most
                most = max(most, running)
                return NUMBER - running

            await house.worker.serve(house.shadow_of, room=room, until_idle=True)
            assert most == NUMBER
            records = [await house.store.find(task.id) for task in tasks]
            assert {record.state for record in records} == {"completed"}
            told = {
                task.id: b"\n".join(encode_entry(line.entry) for line in await house.store.session(task.id))
                for task in tasks
            }
            trees = {r.id: Path(r.place.path) for r in records if r.place}
        requests = [json.dumps(request.body) for request in server.requests]
    for number, task in enumerate(tasks):
        own = told[task.id].decode()
        assert f"canary-{task.id}" in own
        assert f"KUGETSU_TASK={task.id}" in own
        assert (trees[task.id] / "mine.txt").read_text() == f"canary-{task.id}\n"
        for other in tasks:
            if other is not task:
                assert other.id not in own
                assert other.id not in files(trees[task.id])
        assert "sk-canary" not in own
        assert "canary-of-the-daemon" not in own
        mine = [request for request in requests if f"prompt-{number}-canary" in request]
        assert len(mine) == len(COMMANDS) + 1
        assert not [request for request in mine if any(foreign(request, tasks, task))]


def foreign(request: str, tasks: list[Task], own: Task) -> list[str]:
    others = [task for task in tasks if task is not own]
    return [task.id for task in others if task.id in request or f'"{task.prompt}"' in request]


def files(tree: Path) -> str:
    return "\n".join(
        f"{path}\n{path.read_text('utf-8', 'replace')}"
        for path in tree.rglob("*")
        if path.is_file() and path.name != ".git"
    )
