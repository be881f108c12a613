"""The HTTP interface of `kugetsu serve`: an ASGI application, and the server it runs in."""
