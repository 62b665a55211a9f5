"""Workers, rate limit, retries, circuit breaker."""
