"""The pages (static files served by the relay)."""
