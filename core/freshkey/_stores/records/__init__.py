"""How a record survives in a store that holds small strings: slots, chunks, codec, intents."""
