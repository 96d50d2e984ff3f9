"""Channels: one continuous Opus stream each, whatever feeds it."""
