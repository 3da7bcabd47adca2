"""Real servers, keychains and browsers that tests start for themselves and stop again."""
