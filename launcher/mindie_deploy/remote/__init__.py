"""Direct SSH connections: log streams and tunnels."""
