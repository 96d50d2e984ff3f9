"""`loa bench mixer`: what the mixing core costs, by operator, and against FFmpeg."""
