"""Keeping credentials fresh: one renewal from lock to published result, and what decides when."""
