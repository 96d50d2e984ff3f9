"""Receivers under load and in step: what they really play, measured from the sound itself."""
