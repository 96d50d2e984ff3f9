"""The receiver's side of the control link: who it is, what it is told, what it tells (docs/protocol.md)."""
