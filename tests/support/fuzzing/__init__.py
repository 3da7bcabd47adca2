"""Fuzzing of every parser of outside input: the targets, their inputs, and what must hold for each input."""
