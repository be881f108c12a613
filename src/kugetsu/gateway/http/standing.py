"""What is asked for beside tasks: how things stand, news that go out, streams, webhooks."""

from typing import Final

from starlette.requests import Request

from kugetsu import __version__
from kugetsu.errors import AccessError
from kugetsu.gateway.asgi import CALLER
from kugetsu.gateway.http.bodies import replayed
from kugetsu.gateway.http.calls import Answer, Call, Reply, as_json
from kugetsu.gateway.http.forms import (
    Deliveries,
    DeliveryQuery,
    EventQuery,
    FeedQuery,
    Nothing,
    RetryForm,
    Shadows,
)
from kugetsu.gateway.http.metrics import MEDIA
from kugetsu.gateway.http.problems import Refusal

TEXT: Final = "text/plain; charset=utf-8"

_INDEX: Final = f"""Kugetsu {__version__}

  /v1/tasks       tasks: submit, list, show, steer, answer, pause, resume, cancel, retry
  /v1/events      what happens, as it happens
  /v1/stats       how things stand
  /openapi.json   all of it, for programs
  /mcp            the same for agents (Streamable HTTP)
  /webhooks/...   for those who tell of issues and checks
  /metrics        for Prometheus
  /healthz        whether this program lives
  /readyz         whether it can work

Send a token as `Authorization: Bearer TOKEN`; `kugetsu token add NAME` makes one.
"""


async def index(_call: Call, _query: Nothing) -> Answer:
    """A short page that names what is here."""
    return Answer(_INDEX.encode(), media=TEXT)


async def healthy(_call: Call, _query: Nothing) -> Answer:
    """The program lives."""
    return Answer(b"ok\n", media=TEXT)


async def ready(call: Call, _query: Nothing) -> Answer:
    """The program can work."""
    await call.inside.require_ready()
    return Answer(b"ready\n", media=TEXT)


async def describe(call: Call, _query: Nothing) -> Answer:
    """The OpenAPI document."""
    return Answer(call.inside.document)


async def figures(call: Call, _query: Nothing) -> Answer:
    """Figures for Prometheus."""
    return Answer(await call.inside.metrics.text(await call.parts.service.stats()), media=MEDIA)


async def stats(call: Call, _query: Nothing) -> Answer:
    """How things stand."""
    return as_json(await call.parts.service.stats())


async def shadows(call: Call, _query: Nothing) -> Answer:
    """Which shadows live."""
    return as_json(Shadows(tuple(await call.parts.service.shadows())))


async def deliveries(call: Call, query: DeliveryQuery) -> Answer:
    """News that go out."""
    service = call.parts.service
    return as_json(
        Deliveries(tuple(await service.deliveries(states=query.state, most=query.limit, before=query.before)))
    )


async def retry_deliveries(call: Call, form: RetryForm) -> Answer:
    """Try news again."""
    return as_json(Deliveries(tuple(await call.parts.service.retry_deliveries(form.ids))))


async def task_events(call: Call, _query: EventQuery) -> Reply:
    """Follow one task."""
    if call.parts.streams is None:
        raise Refusal("not-found", "this server has no streams")
    return await call.parts.streams.task(Request(call.scope, call.receive), call.named)


async def all_events(call: Call, _query: FeedQuery) -> Reply:
    """Follow all tasks."""
    if call.parts.streams is None:
        raise Refusal("not-found", "this server has no streams")
    return await call.parts.streams.everything(Request(call.scope, call.receive))


async def webhook(call: Call, body: bytes) -> Answer:
    """Take what a source tells."""
    if call.parts.webhooks is None:
        raise Refusal("not-found", "this server takes no webhooks")
    try:
        answer = await call.parts.webhooks(call.named, call.headers, body, call.address)
    except AccessError as error:
        call.inside.access.failed(call.address)
        raise Refusal("unauthorised", error.message, fix=error.fix) from error
    return as_json(answer.body, answer.status)


async def mcp(call: Call, _nothing: None) -> Reply:
    """Hand the request on, with its body taken in already and its caller in the scope."""
    if call.parts.mcp is None:
        raise Refusal("not-found", "this server does not speak the Model Context Protocol")
    body = await call.body.read()
    call.receive = replayed(body, call.receive)
    call.scope[CALLER] = call.caller
    return call.parts.mcp
