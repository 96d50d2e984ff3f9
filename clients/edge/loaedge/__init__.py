"""The receiver and the WebRTC clients of the command line."""
