"""What `scripts/release` does: builds twice and compares, describes what it built, audits, and verifies the result."""
