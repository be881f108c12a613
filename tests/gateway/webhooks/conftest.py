from collections.abc import AsyncIterator
from typing import Final

import pytest

from gateway.webhooks.hook_lab import SECRET, HookLab
from kugetsu.app.house import House
from kugetsu.config import HookEvent, ProjectSettings, QueueSettings, RuleSettings, Settings, WebhookSettings
from support.command_line import CommandLine

COMMENTS: Final[tuple[HookEvent, ...]] = ("comment", "review_comment")


@pytest.fixture
async def lab(user: CommandLine) -> AsyncIterator[HookLab]:
    """Ada may do anything on GitHub and Gitea; a generic source may work in one directory."""
    user.make_repo({"a.txt": "a\n"})
    user.git("branch", "changes")
    user.git("branch", "button")
    here = str(user.repo)
    rules = (
        RuleSettings(on=COMMENTS, authors=("Ada", "ci-robot[bot]"), priority=5),
        RuleSettings(on=("issue_opened", "issue_labelled"), labels=("kugetsu",), authors=("ada",)),
        RuleSettings(on=("check_failed",), authors=("ada",), check="make lint", reply_to={"target": "ops"}),
    )
    settings = Settings(
        model=user.script({"text": "done"}),
        queue=QueueSettings(most_pending=6),
        projects={
            "github.com/Team/Tool": ProjectSettings(repo=here, check="true"),
            "forge.example:3000/team/tool": ProjectSettings(repo=here),
        },
        webhooks={
            "hub": WebhookSettings(kind="github", secret=SECRET, ignore=("kugetsu-account",), rules=rules),
            "forge": WebhookSettings(kind="gitea", secret=SECRET, rules=rules),
            "office": WebhookSettings(kind="github", host="GHE.example", secret=SECRET),
            "door": WebhookSettings(
                secret=SECRET,
                rules=(
                    RuleSettings(
                        on=("task",),
                        authors=("*",),
                        repositories=(f"{user.repo.parent}/*",),
                        reply_to={"target": "ops"},
                    ),
                    RuleSettings(on=("task",), authors=("*",), repositories=("team/*",), priority=10),
                ),
            ),
        },
    )
    async with House(settings, user.home, user.environ) as house:
        yield HookLab(house, settings)
