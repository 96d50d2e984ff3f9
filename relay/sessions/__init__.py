"""Sessions of publishers, listeners and upstream relays, and the hub that gives each datagram to its own."""
