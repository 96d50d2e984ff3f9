"""Sans-I/O codecs and protocols: bytes to meaning and back. No sockets, no clock."""
