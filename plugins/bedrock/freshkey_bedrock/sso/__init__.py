"""freshkey's own sign-in with AWS IAM Identity Center, independent of the AWS CLI; the source ``sso``."""
