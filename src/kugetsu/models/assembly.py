"""A model over HTTP, put together from its provider, what is known of it, and the shared connections."""

from typing import Final

import msgspec
from multidict import CIMultiDict

import kugetsu
from kugetsu.config import ModelSettings
from kugetsu.models.anthropic_wire import API_VERSION, AnthropicModel
from kugetsu.models.breaker import Breaker
from kugetsu.models.catalog import CatalogEntry, look_up
from kugetsu.models.encoding import JsonObject
from kugetsu.models.http import Connections, Endpoint
from kugetsu.models.http_model import HttpModel
from kugetsu.models.limiter import Bounds, Limiter
from kugetsu.models.openai_wire import OpenAIModel
from kugetsu.models.provider import Provider
from kugetsu.models.reporter import Reporter
from kugetsu.protocols import Clock

_COMMON_HEADERS: Final = {
    "Accept": "text/event-stream, application/json",
    # A compressed stream comes in lumps.
    "Accept-Encoding": "identity",
    "Content-Type": "application/json",
    "User-Agent": f"kugetsu/{kugetsu.__version__}",
}


def assemble(provider: Provider, model: str, connections: Connections, clock: Clock, breaker: Breaker) -> HttpModel:
    """Put a model together.

    Args:
        provider: where it is called.
        model: its name there.
        connections: the shared pool.
        clock: for dates that providers name, and waits.
        breaker: of that provider.
    """
    name = f"{provider.name}/{model}"
    entry = look_up(provider.name, provider.settings, model, clock)
    reporter = Reporter(name, provider.base_url, provider.key_source, provider.secrets, clock)
    endpoint = Endpoint(connections, _url(provider), _headers(provider), provider.settings.idle_seconds, reporter)
    limiter = Limiter(name, _bounds(provider, model), breaker, clock)
    if provider.settings.wire == "anthropic":
        fields: JsonObject = {"model": model, "max_tokens": entry.info.max_output}
        return AnthropicModel(name, entry.info, endpoint, limiter, entry.pricing, fields=fields)
    # A call that says nothing about its reply may get one that fills the window.
    longest = entry.said_output or entry.info.context_window
    return OpenAIModel(
        name,
        msgspec.structs.replace(entry.info, longest_reply=longest),
        endpoint,
        limiter,
        entry.pricing,
        fields=_openai_fields(provider.name, model, entry),
        cap_field=_cap_field(provider.name),
        reasoning_field=provider.settings.reasoning_field,
        # Sends a conversation to where its beginning is cached. Others refuse fields they do not know.
        conversation_field="prompt_cache_key" if provider.name == "openai" else "",
    )


def _url(provider: Provider) -> str:
    if provider.settings.wire == "anthropic":
        return f"{provider.base_url.removesuffix('/v1')}/v1/messages"
    return f"{provider.base_url}/chat/completions"


def _headers(provider: Provider) -> dict[str, str]:
    """The common headers, the key, and over them what the settings say; names are compared without their case."""
    headers = dict(_COMMON_HEADERS)
    if provider.settings.wire == "anthropic":
        headers["Anthropic-Version"] = API_VERSION
        if provider.key:
            headers["X-Api-Key"] = provider.key
    elif provider.key:
        headers["Authorization"] = f"Bearer {provider.key}"
    merged = CIMultiDict(headers)
    merged.update(provider.settings.headers)
    return dict(merged)


def _openai_fields(provider: str, model: str, entry: CatalogEntry) -> JsonObject:
    fields: JsonObject = {"model": model}
    if entry.said_output:
        fields[_cap_field(provider)] = entry.said_output
    if provider == "openrouter" and model.startswith("anthropic/"):
        # Claude caches a prompt only when it is asked to.
        fields["cache_control"] = {"type": "ephemeral"}
    return fields


def _cap_field(provider: str) -> str:
    """OpenAI's reasoning models refuse the old name, most others do not know the new one."""
    return "max_completion_tokens" if provider == "openai" else "max_tokens"


def _bounds(provider: Provider, model: str) -> Bounds:
    """The limits of a model; those it does not name are its provider's."""
    said, common = provider.settings.models.get(model, ModelSettings()), provider.settings
    return Bounds(
        **{
            field: getattr(common, field) if (own := getattr(said, field)) is None else own
            for field in Bounds.__struct_fields__
        }
    )
