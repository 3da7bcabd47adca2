"""The one HTTP client: exchanges, messages, addresses, and the circuit breaker."""
