"""CPython for Windows under Wine, with the locked packages and this checkout: see ``scripts/windows``."""
