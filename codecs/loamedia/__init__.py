"""Sound from outside, by FFmpeg (PyAV): files, web and Icecast streams, HLS, RTSP, SRT, line inputs, a test tone.

`parse_spec` reads what a person writes, a `Policy` says what may be opened, a `Player` decodes it in a thread of its
own and keeps a few seconds ready. Relay and `loa publish` both stand on this package; see
docs/adr/010-one-reader-of-media.md.
"""
