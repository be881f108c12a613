"""Fakes and servers for tests, of this project and of others."""
