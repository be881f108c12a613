"""Who may do what over HTTP, and how often."""

import pytest

from kugetsu.config import HttpSettings
from kugetsu.errors import ConfigError, RecordError, UsageError
from kugetsu.gateway.http.access import Access
from kugetsu.gateway.http.origins import Origins
from kugetsu.gateway.http.problems import Refusal
from kugetsu.gateway.http.rates import Rates, who_is
from kugetsu.gateway.http.tokens import digest_of, make_token, passing_token, proves, read_token
from kugetsu.protocols import Token
from kugetsu.testing import FakeClock, MemoryStore
from support.command_line import CommandLine
from support.http_site import Site, open_site

OPERATIONS = {
    "submit": [("POST", "/v1/tasks")],
    "read": [
        ("GET", path)
        for path in (
            "/v1/tasks",
            "/v1/tasks/x",
            "/v1/tasks/x/session",
            "/v1/tasks/x/diff",
            "/v1/tasks/x/events",
            "/v1/events",
            "/v1/shadows",
            "/v1/stats",
            "/v1/deliveries",
            "/metrics",
        )
    ],
    "control": [
        ("POST", f"/v1/tasks/x/{verb}")
        for verb in ("steer", "answer", "pause", "resume", "cancel", "retry", "priority")
    ]
    + [("POST", "/v1/deliveries/retry")],
}


async def test_while_there_is_no_token_programs_of_this_machine_need_none(site: Site) -> None:
    assert (await site.get("/v1/stats")).status == 200
    assert site.requests()[-1]["token"] == "local"


async def test_once_there_is_a_token_every_call_needs_one(user: CommandLine) -> None:
    clock = FakeClock(auto=False)
    async with open_site(user, clock=clock) as site:
        assert (await site.get("/v1/stats")).status == 200
        token = await site.token("read")
        clock.advance(2)
        for path in ("/v1/stats", "/v1/tasks", "/metrics", "/mcp"):
            got = await site.get(path)
            assert (got.status, got.problem) == (401, "unauthorised")
            assert got.headers["WWW-Authenticate"].startswith("Bearer")
            assert "kugetsu token add" in got.json()["fix"]
        assert (await site.get("/v1/stats", token)).status == 200
        for path in ("/", "/healthz", "/readyz", "/openapi.json"):
            assert (await site.get(path)).status == 200
        await site.house.store.revoke_token("ada")
        clock.advance(2)
        assert (await site.get("/v1/stats", token)).status == 401
        assert (await site.get("/v1/stats")).status == 200


async def test_a_token_may_do_what_it_is_for_and_nothing_else(site: Site) -> None:
    tokens = {scope: await site.token(scope, name=scope) for scope in ("submit", "read", "control")}
    admin = await site.token("admin", name="root")
    for scope, operations in OPERATIONS.items():
        for method, path in operations:
            for name, token in tokens.items():
                got = await site.ask(method, path, None, token)
                assert (got.status == 403) == (name != scope), (method, path, name, got.body)
                assert got.status != 401
            assert (await site.ask(method, path, None, admin)).status not in {401, 403}


@pytest.mark.parametrize(
    "shown", ["", "Bearer", "Bearer x", "Basic {}", "Bearer {}x", "bearer  {} x", "Bearer kgt_ffffffffff_0", "{}"]
)
async def test_what_is_not_the_token_is_refused(site: Site, shown: str) -> None:
    token = await site.token()
    got = await site.get("/v1/stats", Authorization=shown.format(token))
    assert (got.status, got.problem) == (401, "unauthorised")
    assert token not in repr(site.said)


async def test_the_token_of_this_start_counts_as_admin_beside_all_others(user: CommandLine) -> None:
    secret = passing_token()
    async with open_site(user, secret=secret) as site:
        await site.token("read")
        assert (await site.post("/v1/tasks/x/cancel", None, secret)).status == 404
        assert site.requests()[-1]["token"] == "serve"
        assert (await site.get("/v1/stats", passing_token())).status == 401


async def test_a_wrong_token_is_refused_also_where_none_is_needed(site: Site) -> None:
    assert (await site.get("/v1/stats", passing_token())).status == 401


async def test_whoever_comes_through_a_proxy_is_not_of_this_machine(site: Site) -> None:
    for mark in ("X_Forwarded_For", "Forwarded", "Via", "X_Real_IP"):
        assert (await site.get("/v1/stats", **{mark: "127.0.0.1"})).status == 401
    assert (await site.get("/v1/stats", X_Forwarded_For="127.0.0.1")).headers["WWW-Authenticate"]


async def test_a_trusted_proxy_says_where_requests_come_from(user: CommandLine) -> None:
    http = HttpSettings(port=0, trusted_proxies=("127.0.0.1", "10.0.0.0/8"))
    async with open_site(user, http=http) as site:
        for hops, client in {
            "203.0.113.9": "203.0.113.9",
            "203.0.113.9, 10.1.2.3": "203.0.113.9",
            "198.51.100.1, 203.0.113.9:4711, 10.1.2.3": "203.0.113.9",
            "[2001:db8::1]:80": "2001:db8::1",
            "nonsense": "127.0.0.1",
            "127.0.0.1": "127.0.0.1",
        }.items():
            assert (await site.get("/v1/stats", X_Forwarded_For=hops)).status == 401
            assert site.requests()[-1]["client"] == client


async def test_too_many_wrong_tokens_are_told_to_come_back_and_a_right_one_is_let_in(user: CommandLine) -> None:
    clock = FakeClock(auto=False)
    async with open_site(user, http=HttpSettings(port=0, failures_per_minute=4), clock=clock) as site:
        token = await site.token()
        answers = [await site.get("/v1/stats", passing_token()) for _ in range(3)]
        assert [got.status for got in answers] == [401, 401, 429]
        assert (await site.get("/v1/stats", token)).status == 200
        got = await site.get("/v1/stats", passing_token())
        assert (got.status, got.problem) == (429, "rate-limited")
        clock.advance(int(got.headers["Retry-After"]))
        assert (await site.get("/v1/stats", passing_token())).status == 401


async def test_too_many_requests_are_told_when_to_come_back(user: CommandLine) -> None:
    clock = FakeClock(auto=False)
    async with open_site(user, http=HttpSettings(port=0, requests_per_minute=6), clock=clock) as site:
        ada, bob = await site.token(name="ada"), await site.token(name="bob")
        assert [(await site.get("/v1/stats", ada)).status for _ in range(4)] == [200, 200, 200, 429]
        assert (await site.get("/v1/stats", bob)).status == 200
        got = await site.get("/v1/stats", ada)
        assert (got.problem, got.headers["Retry-After"]) == ("rate-limited", "20")
        clock.advance(20)
        assert (await site.get("/v1/stats", ada)).status == 200
        assert [(await site.get("/healthz")).status for _ in range(9)] == [200] * 9


async def test_foreign_names_and_pages_are_refused(site: Site) -> None:
    port = site.server.url.rpartition(":")[2]
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.2", "", "[::1"):
        got = await site.get("/v1/stats", Host=host)
        assert (got.status, got.problem) == (403, "forbidden"), host
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1", f"ftp://127.0.0.1:{port}", "http://[", ""):
        assert (await site.get("/v1/stats", Origin=origin)).problem == "forbidden", origin
    assert (await site.get("/v1/stats", Origin=site.server.url)).status == 200
    for host in ("localhost", f"LOCALHOST:{port}", f"127.0.0.1:{port}", "127.0.0.1:9"):
        assert (await site.get("/v1/stats", Host=host)).status == 200, host
    assert (await site.get("/healthz", Host="probe.example")).status == 200


async def test_names_of_the_settings_are_taken_but_are_not_names_of_this_machine(user: CommandLine) -> None:
    http = HttpSettings(port=0, hosts=("a.example",), public_url="https://b.example/kugetsu")
    async with open_site(user, http=http) as site:
        for host in ("a.example", "b.example:443"):
            assert (await site.get("/v1/stats", Host=host)).status == 401
            assert (await site.get("/", Host=host)).status == 200
        assert (await site.get("/", Host="c.example")).status == 403
    async with open_site(user, http=HttpSettings(port=0, hosts=("*",))) as site:
        assert (await site.get("/", Host="c.example")).status == 200


async def test_others_reach_no_server_without_a_token(user: CommandLine) -> None:
    http = HttpSettings(host="0.0.0.0", port=0)  # noqa: S104 - that is what it is about
    with pytest.raises(ConfigError, match=r"`http\.host` is 0\.0\.0\.0.*kugetsu token add"):
        async with open_site(user, http=http):
            pass
    async with open_site(user) as site:
        token = await site.token("read")
    clock = FakeClock(auto=False)
    async with open_site(user, http=http, clock=clock) as site:
        assert (await site.get("/v1/stats", token)).status == 200
        await site.house.store.revoke_token("ada")
        clock.advance(2)
        assert (await site.get("/v1/stats", token)).status == 401
        assert (await site.get("/v1/stats")).status == 401


class Unreadable(MemoryStore):
    broken = False

    async def tokens(self) -> list[Token]:
        if self.broken:
            raise RecordError("the disk is gone")
        return await super().tokens()


async def test_who_counted_once_is_not_let_in_while_nobody_can_look() -> None:
    clock = FakeClock(auto=False)
    store = Unreadable(clock)
    kept, shown = make_token("ada", ["read"], 1.0)
    await store.add_token(kept)
    access = Access(store, HttpSettings(), clock)
    assert (await access.admit(f"Bearer {shown}", "10.0.0.1", near=False)).name == "ada"
    store.broken = True
    assert (await access.admit(f"Bearer {shown}", "10.0.0.1", near=False)).name == "ada"
    clock.advance(1)
    with pytest.raises(RecordError):
        await access.admit(f"Bearer {shown}", "10.0.0.1", near=False)
    with pytest.raises(RecordError):
        await access.admit(None, "127.0.0.1", near=True)


async def test_who_was_let_in_counts_for_as_long_as_it_would_be_let_in_anew() -> None:
    clock, store, secret = FakeClock(auto=False), Unreadable(FakeClock()), passing_token()
    access = Access(store, HttpSettings(), clock, secret)
    nobody = await access.admit(None, "127.0.0.1", near=True)
    served = await access.admit(f"Bearer {secret}", "127.0.0.1", near=True)
    assert await access.counts(nobody)
    kept, shown = make_token("ada", ["read"], 1.0)
    await store.add_token(kept)
    clock.advance(1)
    ada = await access.admit(f"Bearer {shown}", "10.0.0.1", near=False)
    assert [await access.counts(caller) for caller in (nobody, served, ada)] == [False, True, True]
    await store.revoke_token("ada")
    clock.advance(1)
    assert [await access.counts(caller) for caller in (nobody, served, ada)] == [True, True, False]
    store.broken = True
    clock.advance(1)
    assert await access.counts(served)
    with pytest.raises(RecordError):
        await access.counts(ada)


async def test_an_access_without_a_token_of_this_start_takes_none_that_looks_like_one() -> None:
    access = Access(MemoryStore(), HttpSettings(), FakeClock())
    with pytest.raises(Refusal):
        await access.admit(f"Bearer {passing_token()}", "127.0.0.1", near=True)


def test_a_token_is_known_by_its_secret_alone() -> None:
    kept, shown = make_token("ada", ["read", "submit", "read"], 5.0)
    presented = read_token(shown)
    assert presented is not None
    assert (presented.id, kept.scopes, kept.created_at) == (kept.id, ("read", "submit"), 5.0)
    assert proves(presented.secret, kept.digest)
    assert not proves(presented.secret[:-1], kept.digest)
    assert presented.secret not in repr(kept)
    assert kept.digest == digest_of(presented.secret)
    assert make_token("ada", ["read"], 5.0)[1] != shown
    for name in ("", "a b", "-a", "a" * 65, "ä", "a\n"):
        with pytest.raises(UsageError):
            make_token(name, ["read"], 1.0)
    with pytest.raises(UsageError):
        make_token("ada", [], 1.0)


def test_never_more_than_the_rate_in_any_minute_and_half_of_it_at_once() -> None:
    for rate in (1, 2, 7, 30, 600):
        clock = FakeClock(auto=False)
        rates = Rates(rate, clock.monotonic)
        at_once = 0
        while not rates.take("a"):
            at_once += 1
        assert at_once == max(1, rate // 2)
        taken = []
        while clock.monotonic() < 300:
            clock.advance(0.05)
            if not rates.take("a"):
                taken.append(clock.monotonic())
        assert len(taken) >= (rate - at_once) * 4
        assert at_once + sum(at <= 60 for at in taken) <= max(rate, 1)


def test_a_wait_that_was_waited_for_is_enough() -> None:
    clock = FakeClock(auto=False)
    rates = Rates(7, clock.monotonic)
    for _ in range(200):
        if wait := rates.take("a"):
            assert rates.wait("a") == wait
            clock.advance(wait + 1e-9)
            assert rates.take("a") == 0
    assert Rates(0, clock.monotonic).take("a") == 0


def test_rates_of_many_take_bounded_memory() -> None:
    clock = FakeClock(auto=False)
    rates = Rates(1, clock.monotonic)
    for number in range(20_000):
        rates.take(f"10.0.{number // 250}.{number % 250}")
        rates.wait(f"new {number}")
    assert len(rates) <= 10_000


def test_whoever_has_one_address_of_a_network_has_all() -> None:
    assert who_is("2001:db8::1") == who_is("2001:db8:0:0:ffff::2") != who_is("2001:db8:0:1::1")
    assert who_is("::ffff:10.0.0.1") == who_is("10.0.0.1") != who_is("10.0.0.2")
    assert who_is("nonsense") == "nonsense"


def test_a_proxy_that_is_no_address_is_named() -> None:
    with pytest.raises(ConfigError, match="trusted_proxies"):
        Origins(HttpSettings(trusted_proxies=("proxy.example",)))
