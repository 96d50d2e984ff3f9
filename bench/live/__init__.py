"""`loa bench live`: a mixed channel under load, heard: tick jitter, latency by the sound, loss."""
