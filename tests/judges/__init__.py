"""Independent implementations that judge what alertd sends."""
