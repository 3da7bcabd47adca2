"""Runs programs: one runner, and for each kind of program its environment and how its output is read."""
