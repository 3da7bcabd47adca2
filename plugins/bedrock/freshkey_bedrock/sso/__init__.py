"""freshkey's own sign-in at AWS IAM Identity Center; the source ``sso``."""
