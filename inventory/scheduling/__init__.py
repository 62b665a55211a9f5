"""Workers, rate limit, retries, circuit breaker. Knows no HTTP."""
