"""The relay: WebRTC in, WebRTC out."""
