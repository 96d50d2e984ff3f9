"""What feeds a channel from outside: another relay (upstream), files, streams and line inputs (feed)."""
