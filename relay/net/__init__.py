"""The UDP port, the demultiplexer and the fan-out engine."""
