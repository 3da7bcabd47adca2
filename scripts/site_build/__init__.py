"""What mkdocs does not do by itself when it builds the site: see ``scripts/site``."""
