"""Crash-safe records in a store of small strings: slots, chunks, codec, intents."""
