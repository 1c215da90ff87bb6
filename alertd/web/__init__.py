"""The outside over HTTP and WebSocket: who asks is settled here, what happens is settled in `service`."""
