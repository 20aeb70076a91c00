"""Redis and Valkey as a store: `redis://…` and its kin."""
