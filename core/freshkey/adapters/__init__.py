"""Adapters that use a keeper with HTTP clients and vendor SDKs; each module imports only its own library."""
