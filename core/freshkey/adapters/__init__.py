"""Thin faces of a keeper for HTTP clients and vendors' SDKs; each module imports the library that it serves."""
