"""Control links by the thousand: what they cost a relay, and whether their coming back disturbs the sound."""
