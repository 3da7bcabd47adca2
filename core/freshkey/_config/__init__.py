"""Configured profiles and stores: files, environment, overrides and a project's own file."""
