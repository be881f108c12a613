"""The OpenAPI document says what the server does: whatever is sent, the answer is one that it describes."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import Any

import hypothesis
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from kugetsu.gateway.http.openapi import document
from kugetsu.gateway.http.operations import OPERATIONS
from kugetsu.protocols import SCOPES
from support.command_line import CommandLine
from support.http_site import Site, open_site

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    allow_header_conformance,
]

PHASES = (hypothesis.Phase.generate,)

EXAMPLES = int(os.environ.get("KUGETSU_HTTP_EXAMPLES", "6"))
"""For each operation, each way."""

SHOWN = [operation for operation in OPERATIONS if not operation.hidden and not operation.streams]


def try_all(site: Site, schema: Any, mode: GenerationMode, examples: int, task: str = "") -> int:
    """Send what hypothesis thinks of to every operation; how many requests there were."""
    sent = 0

    def one(operation: Any) -> Callable[[], None]:
        strategy = operation.as_strategy(generation_mode=mode)

        @hypothesis.seed(7)
        @hypothesis.settings(
            max_examples=examples, database=None, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES
        )
        @hypothesis.given(case=strategy)
        def test(case: Case[Any]) -> None:
            nonlocal sent
            sent += 1
            if task and "{task}" in operation.path:
                case.path_parameters["task"] = task
            if task and isinstance(case.body, dict) and isinstance(case.body.get("repo", ""), str):
                case.body["repo"] = str(site.user.repo)
            response = case.call(base_url=site.server.url, timeout=10)
            case.validate_response(response, checks=CHECKS)

        return test

    for found in schema.get_all_operations():
        operation = found.ok()
        if not any(operation.path == shown.path and operation.method.upper() == shown.method for shown in SHOWN):
            continue
        with contextlib.suppress(Unsatisfiable):  # what takes nothing cannot be given anything wrong
            one(operation)()
    return sent


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("mode", "known"),
    [
        (GenerationMode.POSITIVE, True),
        (GenerationMode.POSITIVE, False),
        (GenerationMode.NEGATIVE, True),
        (GenerationMode.NEGATIVE, False),
    ],
)
async def test_whatever_is_sent_is_answered_as_the_document_says(
    user: CommandLine, mode: GenerationMode, known: bool
) -> None:
    async with open_site(user) as site:
        schema = schemathesis.openapi.from_dict((await site.get("/openapi.json")).json())
        task = (await site.submit())["id"] if known else ""
        sent = await asyncio.to_thread(try_all, site, schema, mode, EXAMPLES, task)
        assert sent > 40
        assert not [line for line in site.said if line["event"] == "request_failed"]


def test_the_document_names_all_operations_with_their_scopes_and_errors() -> None:
    made = msgspec.json.decode(document(OPERATIONS, "https://a.example/"))
    assert (made["openapi"], made["servers"]) == ("3.1.0", [{"url": "https://a.example"}])
    names = [described["operationId"] for path in made["paths"].values() for described in path.values()]
    assert len(set(names)) == len(names) == len([operation for operation in OPERATIONS if not operation.hidden])
    submit = made["paths"]["/v1/tasks"]["post"]
    assert set(submit["responses"]) >= {
        "200",
        "202",
        "400",
        "401",
        "403",
        "409",
        "413",
        "415",
        "422",
        "429",
        "500",
        "503",
    }
    assert submit["requestBody"]["required"] is True
    assert made["paths"]["/v1/tasks/{task}/cancel"]["post"]["requestBody"]["required"] is False
    listing = {found["name"]: found["schema"] for found in made["paths"]["/v1/tasks"]["get"]["parameters"]}
    assert (listing["limit"]["maximum"], listing["limit"]["default"], set(listing)) == (
        500,
        50,
        {"state", "limit", "cursor"},
    )
    assert made["components"]["schemas"]["NewTask"]["additionalProperties"] is False
    assert {operation.scope for operation in OPERATIONS} <= {*SCOPES, None}
    assert b"$defs" not in document(OPERATIONS)


async def test_streams_are_described_by_what_they_are(site: Site) -> None:
    made = (await site.get("/openapi.json")).json()
    for path in ("/v1/events", "/v1/tasks/{task}/events"):
        assert "text/event-stream" in made["paths"][path]["get"]["responses"]["200"]["content"]
