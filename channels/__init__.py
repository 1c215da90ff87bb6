"""Channels: one file each. A channel makes one attempt and says what happened."""
