"""Bedrock API keys: entered by the user, parsed, and made from AWS credentials."""
