"""Which tokens are void before their time."""
