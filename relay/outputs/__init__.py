"""What a channel gives besides WebRTC: as-aired recordings, endless Ogg Opus over HTTP, RTP for old decoders."""
