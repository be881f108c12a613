"""How work comes in and news go out: HTTP, webhooks, MCP, Hermes."""
