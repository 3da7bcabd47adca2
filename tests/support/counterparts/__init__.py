"""Real servers, keychains and browsers that tests start and stop."""
