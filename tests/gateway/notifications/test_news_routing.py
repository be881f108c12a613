"""Who hears of a change."""

from typing import Any

import pytest

from kugetsu.config import ProjectSettings, Settings, TargetSettings
from kugetsu.gateway.notifications.addresses import origin
from kugetsu.gateway.notifications.routing import listeners, projects_of, states_heard
from kugetsu.protocols import Change
from kugetsu.tasks import TaskState
from tasks.task_lab import a_task

NOW = 1_700_000_000.0
HOUR = 3600.0


def a_target(**fields: Any) -> TargetSettings:
    return TargetSettings(**{"url": "http://127.0.0.1/x", **fields})


def a_change(state: TaskState = "completed", **fields: Any) -> Change:
    return Change(**{"id": 1, "task": "a", "at": NOW, "state": state, **fields})


def heard(change: Change, settings: Settings, *, now: float = NOW, **task: Any) -> list[str]:
    return list(listeners(change, a_task(**task), settings, now))


def test_the_target_of_the_task_hears_and_others_do_not() -> None:
    settings = Settings(notify={"chat": a_target(), "other": a_target()})
    assert heard(a_change(), settings, reply_to={"target": "chat"}) == ["chat"]
    assert heard(a_change(), settings) == []
    assert heard(a_change(), settings, reply_to={"platform": "telegram"}) == []


def test_a_target_hears_once_for_however_many_reasons() -> None:
    settings = Settings(
        notify={"chat": a_target(all=True)}, projects={"github.com/o/r": ProjectSettings(notify=("chat",))}
    )
    assert heard(a_change(), settings, reply_to={"target": "chat"}, subject="github.com/o/r#1") == ["chat"]


@pytest.mark.parametrize("state", ["pending", "running"])
def test_a_target_hears_of_the_states_it_asks_for(state: TaskState) -> None:
    settings = Settings(notify={"few": a_target(all=True), "busy": a_target(all=True, states=(state,))})
    assert heard(a_change(state), settings) == ["busy"]
    assert heard(a_change("failed"), settings) == ["few"]
    assert state in states_heard(settings)
    assert state not in states_heard(Settings())


def test_a_target_that_is_to_hear_nothing_hears_nothing() -> None:
    settings = Settings(notify={"off": TargetSettings(kind="none", all=True)})
    assert heard(a_change(), settings, reply_to={"target": "off"}) == []


def test_what_is_older_than_a_targets_time_is_not_for_it() -> None:
    settings = Settings(notify={"short": a_target(all=True, expire_hours=1), "long": a_target(all=True)})
    assert heard(a_change(), settings, now=NOW + 2 * HOUR) == ["long"]
    assert heard(a_change(), settings, now=NOW + 80 * HOUR) == []
    assert listeners(a_change(), None, settings, NOW) == {"short": NOW + HOUR, "long": NOW + 72 * HOUR}


def test_a_target_that_nobody_set_up_gets_what_a_task_says_is_for_it() -> None:
    assert heard(a_change(), Settings(), reply_to={"target": "gone"}) == ["gone"]
    assert heard(a_change("running"), Settings(), reply_to={"target": "gone"}) == []


@pytest.mark.parametrize(
    ("task", "projects"),
    [
        ({"subject": "github.com/o/r#7"}, ["GitHub.com/O/r"]),
        ({"repo": "https://github.com/o/r"}, ["GitHub.com/O/r"]),
        ({"repo": "https://user:pw@github.com/O/R.git/"}, ["GitHub.com/O/r"]),
        ({"repo": "git@github.com:o/r.git"}, ["GitHub.com/O/r"]),
        ({"repo": "ssh://git@github.com:22/o/r.git"}, ["GitHub.com/O/r"]),
        ({"repo": "https://git.local:3000/o/r"}, ["git.local:3000/o/r"]),
        ({"repo": "/srv/app"}, ["forge.example/o/app"]),
        ({"repo": "/srv/app/"}, ["forge.example/o/app"]),
        ({"repo": "/srv/app2", "subject": "forge.example/o/app#3"}, ["forge.example/o/app"]),
        ({"repo": "https://mirror.example/app.git"}, ["forge.example/o/mirrored"]),
        ({"repo": "/srv/other"}, []),
        ({"repo": "https://evil.example/github.com/o/r"}, []),
        ({"repo": "https://github.com.evil.example/o/r"}, []),
        ({"subject": "o/r#7"}, []),
    ],
)
def test_a_task_belongs_to_the_project_of_its_issue_or_of_its_repository(
    task: dict[str, str], projects: list[str]
) -> None:
    known = {
        "GitHub.com/O/r": ProjectSettings(),
        "git.local:3000/o/r": ProjectSettings(),
        "forge.example/o/app": ProjectSettings(repo="/srv/app"),
        "forge.example/o/mirrored": ProjectSettings(repo="https://mirror.example/app"),
    }
    assert projects_of(a_task(**task), known) == projects


def test_of_an_address_only_the_host_is_shown() -> None:
    assert origin("https://u:secret@hooks.example:8443/services/T0/secret?x=secret") == "https://hooks.example:8443"


@pytest.mark.parametrize(
    "url",
    [
        "http://{platform}/x",
        "http://host{platform}/x",
        "http://u:{x}@host/x",
        "http://host/{Platform}",
        "http://host/{",
        "http://host/a b",
        "http://",
        "ftp://host/x",
        "http://host/a\n",
    ],
)
def test_an_address_that_cannot_be_filled_in_safely_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="`url`") as caught:
        a_target(url=url)
    assert "host/" not in str(caught.value)


def test_an_address_may_have_names_in_its_path_and_query() -> None:
    for url in ("http://host:1/{platform}/x", "https://host?c={chat_id}", "http://[::1]:8644/webhooks/k"):
        assert a_target(url=url).url == url
