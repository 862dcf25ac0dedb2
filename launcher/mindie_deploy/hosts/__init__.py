"""What to collect from a host, and how to read what it answered."""
