"""Client of the served model's HTTP API."""
