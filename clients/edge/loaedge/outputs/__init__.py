"""Sound out of the receiver: devices, the player that never gives up, and what the sound passes before them."""
