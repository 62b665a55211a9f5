"""One run in several processes: plan, shards, engines, gathering."""
