"""The tools and resources as a server of the official SDK, whichever transport it is served on.

Imports the SDK and pydantic with it: only whoever serves MCP imports this module.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import cache, partial
from typing import Any, Final, TypeAlias

import msgspec
from mcp import types
from mcp.server import Server, ServerRequestContext
from mcp.server.caching import CacheHint
from mcp.shared.exceptions import MCPError

from kugetsu import __version__
from kugetsu.errors import KugetsuError, UsageError
from kugetsu.gateway.mcp import resources
from kugetsu.gateway.mcp.calls import Call, McpTool, Reply, do, in_words, quiet
from kugetsu.gateway.mcp.schemas import schema_of
from kugetsu.gateway.mcp.tools import TOOLS
from kugetsu.gateway.mcp.waiting import Progress

Context: TypeAlias = ServerRequestContext[Any, Any]

OpenCall: TypeAlias = Callable[[Context, Progress, bool], AbstractAsyncContextManager[Call]]
"""Opens what a request is done with: knows who asks, and where tasks are; is told whether something is to be changed."""

INSTRUCTIONS: Final = (
    "Kugetsu runs coding agents in the background, many at once, each in a git worktree of its own. Submit a task with "
    "kugetsu_submit, do other things, and get the branch with kugetsu_result. A task in the state waiting asks something: "
    "answer it with kugetsu_control. Nothing is merged: review the branch."
)

_DAY_MS: Final = 24 * 3600 * 1000


def build_server(open_call: OpenCall) -> Server[Any]:
    """Make the server; it keeps nothing between requests."""
    fixed = CacheHint(ttl_ms=_DAY_MS, scope="public")  # the same for everybody, as long as this version runs
    return Server(
        "kugetsu",
        version=__version__,
        title="Kugetsu",
        description="Runs many coding agents at once, each in a git worktree of its own.",
        instructions=INSTRUCTIONS,
        cache_hints={"tools/list": fixed, "resources/templates/list": fixed, "server/discover": fixed},
        get_tool_input_schema=lambda name: schema_of(TOOLS[name].arguments) if name in TOOLS else None,
        on_list_tools=_list_tools,
        on_call_tool=partial(_call_tool, open_call),
        on_list_resources=partial(_list_resources, open_call),
        on_list_resource_templates=_list_templates,
        on_read_resource=partial(_read_resource, open_call),
    )


async def _list_tools(_context: Context, _params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
    return types.ListToolsResult(tools=_described_tools())


@cache
def _described_tools() -> list[types.Tool]:
    return [_describe(tool) for tool in TOOLS.values()]


def _describe(tool: McpTool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=schema_of(tool.arguments),
        output_schema=schema_of(tool.answer),
        annotations=types.ToolAnnotations(
            title=tool.title,
            read_only_hint=tool.reads_only,
            destructive_hint=tool.destroys,
            idempotent_hint=tool.reads_only or tool.repeatable,
            open_world_hint=not tool.reads_only,
        ),
    )


async def _call_tool(
    open_call: OpenCall, context: Context, params: types.CallToolRequestParams
) -> types.CallToolResult:
    """Call a tool. What goes wrong is a result too: clients give up a server after a few protocol errors."""
    opening = open_call(context, context.session.report_progress, _writes(params.name))
    return _result(await do(TOOLS, params.name, params.arguments or {}, opening))


def _writes(name: str) -> bool:
    return name in TOOLS and not TOOLS[name].reads_only


def _result(reply: Reply) -> types.CallToolResult:
    structured: Mapping[str, Any] | None = None if reply.answer is None else msgspec.to_builtins(reply.answer)
    return types.CallToolResult(
        content=[types.TextContent(text=reply.text)], structured_content=structured, is_error=reply.answer is None
    )


async def _list_resources(
    open_call: OpenCall, context: Context, params: types.PaginatedRequestParams | None
) -> types.ListResourcesResult:
    try:
        async with open_call(context, quiet, False) as call:
            call.require("read")
            tasks, cursor = await resources.newest(call.service, (params and params.cursor) or "")
    except KugetsuError as error:
        raise _refusal(error) from error
    listed = [
        types.Resource(uri=address, name=name, description=words, mime_type=resources.TEMPLATES[0][3])
        for address, name, words in map(resources.address_of, tasks)
    ]
    return types.ListResourcesResult(resources=listed, next_cursor=cursor or None)


async def _list_templates(
    _context: Context, _params: types.PaginatedRequestParams | None
) -> types.ListResourceTemplatesResult:
    return types.ListResourceTemplatesResult(
        resource_templates=[
            types.ResourceTemplate(uri_template=address, name=name, description=words, mime_type=kind)
            for address, name, words, kind in resources.TEMPLATES
        ]
    )


async def _read_resource(
    open_call: OpenCall, context: Context, params: types.ReadResourceRequestParams
) -> types.ReadResourceResult:
    try:
        async with open_call(context, quiet, False) as call:
            document = await resources.read(params.uri, call)
    except KugetsuError as error:
        raise _refusal(error) from error
    text = types.TextResourceContents(uri=params.uri, mime_type=document.kind, text=document.text)
    return types.ReadResourceResult(contents=[text])


def _refusal(error: KugetsuError) -> MCPError:
    """What cannot be read is an error of the protocol; resources have no other."""
    code = types.INVALID_PARAMS if isinstance(error, UsageError) else types.INTERNAL_ERROR
    return MCPError(code, in_words(error))
