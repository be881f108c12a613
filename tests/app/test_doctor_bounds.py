"""What the doctor says of budgets and of the model that is asked instead of others."""

from kugetsu.app.doctor import Finding, examine
from kugetsu.app.house import House
from kugetsu.config import BudgetSettings, Settings
from kugetsu.tasks import Budget
from support.command_line import CommandLine, tool


async def finding(user: CommandLine, settings: Settings, name: str) -> Finding:
    (found,) = [each for each in await examine(settings, user.environ) if each.name == name]
    return found


async def test_it_says_what_is_used_up_of_the_days_budget(user: CommandLine) -> None:
    settings = Settings(budgets=BudgetSettings(day=Budget(tokens=5_000)))
    assert (await finding(user, settings, "budget of today")).detail == "0 of 5,000 tokens are used up"
    user.make_repo({"a.txt": "a\n"})
    script = user.script({"tool_calls": [tool("ls")], "usage": {"input": 1_200, "output": 34}})
    async with House(Settings(), user.home, user.environ) as house:
        await house.worker.run(house.shadow(house.task(str(user.repo), "look", model=script)))
    assert (await finding(user, settings, "budget of today")).detail.startswith("1,234 of 5,000 tokens")


async def test_a_fallback_that_cannot_be_used_is_named(user: CommandLine) -> None:
    found = await finding(user, Settings(fallback="nosuch/m"), "fallback")
    assert found.status == "missing"
    assert "nosuch" in found.detail
    assert (await finding(user, Settings(fallback="ollama/m"), "fallback")).status == "ok"
