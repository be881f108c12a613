"""Tasks by what they are about."""

import pytest

from kugetsu.errors import TaskNotFoundError
from storage.store_lab import Lab

FULL = "github.com/octo/cat#12"


class SubjectContract:
    """Find by the name of an issue."""

    @pytest.mark.parametrize(
        "name",
        [
            FULL,
            "octo/cat#12",
            "GitHub.com/Octo/Cat#12",
            "https://github.com/octo/cat/issues/12",
            "https://github.com/octo/cat/pull/12#discussion",
            " octo/cat#12\n",
        ],
    )
    async def test_a_task_is_found_by_every_name_of_what_it_is_about(self, lab: Lab, name: str) -> None:
        await lab.submit("a", subject=FULL)
        await lab.submit("b")
        record = await lab.find(name)
        assert (record.id, record.task.subject, record.shown.subject) == ("a", FULL, FULL)

    async def test_the_newest_of_several_tasks_about_one_thing_is_found(self, lab: Lab) -> None:
        for name in ("a", "b", "c"):
            await lab.submit(name, subject=FULL if name != "c" else "github.com/octo/cat#13")
        assert (await lab.find(FULL)).id == "b"
        assert (await lab.find("octo/cat#12")).id == "b"

    @pytest.mark.parametrize(
        "name",
        [
            "octo/cat#1",
            "octo/cat#123",
            "github.com/octo/cat#1",
            "gitlab.com/octo/cat#12",
            "cat/x#12",
            "group/octo/cat#12",
            "octo/ca#12",
            "oct_/cat#12",
            "github.com/octo/ca%#12",
        ],
    )
    async def test_what_no_task_is_about_is_not_found(self, lab: Lab, name: str) -> None:
        await lab.submit("a", subject=FULL)
        await lab.submit("b", subject="github.com/big/group/cat#12")
        await lab.submit("c")
        with pytest.raises(TaskNotFoundError):
            await lab.find(name)

    async def test_a_name_that_means_something_else_on_each_of_several_hosts_is_refused_with_their_names(
        self, lab: Lab
    ) -> None:
        await lab.submit("a", subject=FULL)
        await lab.submit("b", subject="git.example.org:8443/octo/cat#12")
        await lab.submit("c", subject=FULL)
        with pytest.raises(TaskNotFoundError) as caught:
            await lab.find("octo/cat#12")
        assert "git.example.org:8443/octo/cat#12 or github.com/octo/cat#12" in str(caught.value)
        assert (await lab.find("git.example.org:8443/octo/cat#12")).id == "b"
        assert (await lab.find(FULL)).id == "c"

    async def test_a_name_with_more_parts_is_found_with_all_of_them(self, lab: Lab) -> None:
        await lab.submit("a", subject="gitlab.com/big/group/cat#7")
        assert (await lab.find("big/group/cat#7")).id == "a"
        assert (await lab.find("https://gitlab.com/big/group/cat/-/merge_requests/7")).id == "a"
        with pytest.raises(TaskNotFoundError):
            await lab.find("group/cat#7")

    async def test_a_subject_that_is_no_name_is_kept_and_not_found(self, lab: Lab) -> None:
        await lab.submit("a", subject="the red one")
        assert (await lab.find("a")).task.subject == "the red one"
        with pytest.raises(TaskNotFoundError):
            await lab.find("the red one")
