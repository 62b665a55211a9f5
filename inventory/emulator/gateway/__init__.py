"""The emulated API gateway: routes, authentication, rate limit."""
