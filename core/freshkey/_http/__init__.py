"""The HTTP client: requests and responses, URL checks, and the circuit breaker."""
