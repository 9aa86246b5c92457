"""Long runs in parts: shards, who makes them, and what is there."""
