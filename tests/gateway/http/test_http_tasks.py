"""Tasks over HTTP, on a real server with a real store."""

from urllib.parse import quote

from kugetsu.config import HttpSettings, ProjectSettings, QueueSettings, Settings
from support.command_line import CommandLine
from support.http_site import Site, open_site


async def test_a_task_that_is_submitted_is_there(site: Site) -> None:
    got = await site.post("/v1/tasks", {"prompt": "do it", "repo": str(site.user.repo)})
    task = got.json()
    assert (got.status, got.headers["Location"]) == (202, f"/v1/tasks/{task['id']}")
    assert task["state"] == "pending"
    for name in (task["id"], task["id"][:5]):
        shown = await site.get(f"/v1/tasks/{name}")
        assert (shown.status, shown.json()["id"]) == (200, task["id"])


async def test_the_same_key_twice_is_one_task(site: Site) -> None:
    new = {"prompt": "do it", "repo": str(site.user.repo)}
    first = await site.post("/v1/tasks", new, Idempotency_Key="monday")
    again = await site.post("/v1/tasks", {**new, "key": "monday"}, Idempotency_Key="monday")
    assert (first.status, again.status) == (202, 200)
    assert first.json()["id"] == again.json()["id"]
    assert again.json()["key"] == "monday"
    other = await site.post("/v1/tasks", {**new, "prompt": "something else"}, Idempotency_Key="monday")
    assert (other.status, other.problem) == (409, "conflict")


async def test_two_different_keys_for_one_task_are_refused(site: Site) -> None:
    got = await site.post("/v1/tasks", {"prompt": "x", "repo": "/nosuch", "key": "a"}, Idempotency_Key="b")
    assert (got.status, got.problem) == (422, "usage")


async def test_pages_follow_each_other(site: Site) -> None:
    ids = [(await site.submit())["id"] for _ in range(5)]
    first = (await site.get("/v1/tasks?limit=2&state=pending&state=running")).json()
    second = (await site.get(f"/v1/tasks?limit=3&cursor={first['next']}")).json()
    assert [task["id"] for task in first["tasks"] + second["tasks"]] == ids[::-1]
    assert second["next"] == 0
    assert (await site.get("/v1/tasks?state=failed")).json() == {"tasks": [], "next": 0}


async def test_what_a_user_wants_of_a_task_is_done(site: Site) -> None:
    task = (await site.submit())["id"]
    path = f"/v1/tasks/{task}"
    assert (await site.post(f"{path}/pause", {"reason": "lunch"})).json()["state"] == "paused"
    resumed = (await site.post(f"{path}/resume", {"limits": {"turns": 7}})).json()
    assert (resumed["state"], resumed["limits"]["turns"]) == ("pending", 7)
    assert (await site.post(f"{path}/priority", {"priority": 5})).json()["priority"] == 5
    assert (await site.post(f"{path}/steer", {"text": "faster", "follow_up": True})).status == 200
    assert (await site.post(f"{path}/answer", {"text": "yes"})).problem == "conflict"
    assert (await site.post(f"{path}/cancel")).json()["state"] == "cancelled"
    assert (await site.post(f"{path}/retry", {})).json()["state"] == "pending"
    assert (await site.post(f"{path}/cancel", {})).json()["outcome"]["message"] == "cancelled by the user"


async def test_an_issue_names_its_task(user: CommandLine) -> None:
    user.make_repo({"a.txt": "a\n"})
    projects = {"forge.example/team/tool": ProjectSettings(repo=str(user.repo))}
    async with open_site(user, Settings(model=user.script({"text": "done"}), projects=projects)) as site:
        task = await site.submit(subject="forge.example/team/tool#3", repo="")
        for name in ("forge.example/team/tool#3", "https://forge.example/team/tool/issues/3"):
            assert (await site.get(f"/v1/tasks/{quote(name, safe='')}")).json()["id"] == task["id"]
            assert (await site.get(f"/v1/tasks/{quote(name, safe='/')}/session")).json() == {"entries": []}
        assert (await site.post(f"/v1/tasks/{quote('team/tool#3', safe='')}/pause")).json()["state"] == "paused"


async def test_a_full_queue_says_when_to_come_back(user: CommandLine) -> None:
    settings = Settings(model=user.script({"text": "done"}), queue=QueueSettings(most_pending=1))
    async with open_site(user, settings) as site:
        await site.submit()
        got = await site.post("/v1/tasks", {"prompt": "x", "repo": str(user.repo)})
        assert (got.status, got.problem) == (429, "queue-full")
        assert int(got.headers["Retry-After"]) >= got.json()["retry_after"] > 0


async def test_who_is_no_admin_can_only_lower_limits(site: Site) -> None:
    admin = await site.token("admin", name="root")
    token = await site.token("submit", "control", "read")
    new = {"prompt": "x", "repo": str(site.user.repo), "turns": 0, "usd": 2.5, "tokens": 10**12}
    task = (await site.post("/v1/tasks", new, token)).json()
    assert (task["limits"]["turns"], task["limits"]["usd"], task["limits"]["tokens"]) == (200, 2.5, 20_000_000)
    path, wider = f"/v1/tasks/{task['id']}/resume", {"limits": {"usd": 50.0, "turns": 3}}
    assert (await site.post(path, wider, token)).json()["limits"]["usd"] == 10.0
    limits = (await site.post(path, wider, admin)).json()["limits"]
    assert (limits["usd"], limits["turns"]) == (50.0, 3)


REFUSED: list[tuple[str, str, object, int, str]] = [
    ("GET", "/v1/tasks/nosuch", None, 404, "not-found"),
    ("GET", "/v1/tasks/a%00b", None, 404, "not-found"),
    ("GET", "/v1/tasks/%ed%a0%80", None, 404, "not-found"),
    ("GET", "/v1/tasks/x/y/z", None, 404, "not-found"),
    ("GET", "/v2", None, 404, "not-found"),
    ("GET", "/v1/tasks/", None, 404, "not-found"),
    ("PUT", "/v1/tasks", {}, 405, "method"),
    ("GET", "/v1/tasks/x/steer", None, 405, "method"),
    ("HEAD", "/v1/events", None, 405, ""),
    ("POST", "/v1/tasks", None, 400, "bad-request"),
    ("POST", "/v1/tasks", {"prompt": "x", "colour": "red"}, 400, "bad-request"),
    ("POST", "/v1/tasks", {"prompt": 7}, 400, "bad-request"),
    ("POST", "/v1/tasks", b"{", 400, "bad-request"),
    ("POST", "/v1/tasks", b"[" * 100_000, 400, "bad-request"),
    ("POST", "/v1/tasks", b'{"prompt": "\\ud800"}', 400, "bad-request"),
    ("POST", "/v1/tasks", b'{"prompt": "\xff"}', 400, "bad-request"),
    ("POST", "/v1/tasks", b'{"prompt": "x", "turns": 1e999}', 400, "bad-request"),
    ("POST", "/v1/tasks?x=1", {"prompt": "x"}, 400, "bad-request"),
    ("POST", "/v1/tasks", {"prompt": "x", "repo": "/nosuch", "priority": 10**30}, 422, "usage"),
    ("POST", "/v1/tasks", {"prompt": "x", "repo": "/nosuch", "turns": 10**30}, 422, "usage"),
    ("POST", "/v1/tasks", {"prompt": "x", "repo": "/nosuch", "attempts": 10**30}, 422, "usage"),
    ("POST", "/v1/tasks", {"prompt": "x"}, 422, "usage"),
    ("POST", "/v1/tasks", {"prompt": " ", "repo": "/nosuch"}, 422, "usage"),
    ("POST", "/v1/tasks", {"prompt": "x", "repo": "/nosuch\0"}, 422, "repository"),
    ("POST", "/v1/tasks", {"prompt": "x", "repo": "/nosuch"}, 422, "repository"),
    ("POST", "/v1/tasks", {"prompt": "x", "repo": "/nosuch", "model": "no/such"}, 422, "config"),
    ("POST", "/v1/tasks", {"prompt": "x", "repo": "/nosuch", "after": ["nosuch"]}, 404, "not-found"),
    ("POST", "/v1/tasks/nosuch/cancel", {"reason": None}, 400, "bad-request"),
    ("POST", "/v1/tasks/nosuch/priority", {"priority": 101}, 400, "bad-request"),
    ("POST", "/v1/tasks/nosuch/cancel", None, 404, "not-found"),
    ("GET", "/v1/tasks?limit=0", None, 400, "bad-request"),
    ("GET", "/v1/tasks?limit=501", None, 400, "bad-request"),
    ("GET", "/v1/tasks?limit=2&limit=3", None, 400, "bad-request"),
    ("GET", "/v1/tasks?state=lost", None, 400, "bad-request"),
    ("GET", "/v1/tasks?status=failed", None, 400, "bad-request"),
    ("GET", "/v1/tasks?cursor=-1", None, 400, "bad-request"),
    ("GET", "/v1/tasks?cursor=99999999999999999999", None, 400, "bad-request"),
    ("GET", "/v1/tasks?state=%ff", None, 400, "bad-request"),
    ("GET", "/v1/stats?x", None, 400, "bad-request"),
    ("POST", "/v1/deliveries/retry", {"ids": [2**70]}, 400, "bad-request"),
    ("POST", "/v1/deliveries/retry", {"ids": [12345]}, 200, ""),
    ("POST", "/webhooks/nobody", {}, 404, "not-found"),
    ("POST", "/mcp", {}, 404, "not-found"),
]


async def test_what_cannot_be_done_is_said_with_its_reason(site: Site) -> None:
    for method, path, body, status, problem in REFUSED:
        got = await site.ask(method, path, body)
        assert got.status == status, (method, path, body, got.body)
        if problem:
            assert (got.problem, bool(got.json()["detail"])) == (problem, True), (method, path, body)
        assert status != 405 or got.headers["Allow"]


async def test_a_body_must_say_that_it_is_json(site: Site) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp"):
        got = await site.post("/v1/tasks", b"{}", Content_Type=kind)
        assert (got.status, got.problem) == (415, "media-type")
    zipped = await site.post("/v1/tasks", b"{}", Content_Encoding="gzip")
    assert zipped.problem == "media-type"
    fine = {"prompt": "x", "repo": str(site.user.repo)}
    assert (await site.post("/v1/tasks", fine, Content_Type="Application/JSON; charset=utf-8")).status == 202


async def test_how_things_stand_is_told(site: Site) -> None:
    await site.submit()
    assert (await site.get("/v1/stats")).json()["tasks"]["pending"] == 1
    assert (await site.get("/v1/shadows")).json() == {"shadows": []}
    assert (await site.get("/v1/deliveries?state=expired&limit=3&before=7")).json() == {"deliveries": []}
    assert (await site.post("/v1/deliveries/retry")).json() == {"deliveries": []}


async def test_a_body_that_is_too_large_is_refused_so_that_its_sender_can_read_why(user: CommandLine) -> None:
    async with open_site(user, http=HttpSettings(port=0, body_kb=1)) as site:
        for size in (1025, 1_000_000):
            got = await site.post("/v1/tasks", {"prompt": "x" * size})
            assert (got.status, got.problem) == (413, "too-large")
        small = await site.post("/v1/tasks", {"prompt": "x", "repo": "/nosuch"})
        assert small.problem == "repository"
