"""Bedrock API keys: handed in, read, and made from AWS credentials."""
