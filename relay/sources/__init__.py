"""What feeds a channel from outside: another relay; later files, URLs and line inputs."""
