"""Profiles and stores as they were configured: files, environment, overrides, a project's own."""
