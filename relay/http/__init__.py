"""WHIP, WHEP, pages, metrics and tokens over HTTP."""
