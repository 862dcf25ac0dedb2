"""The deployment: settings, hosts in rank order, parallel sizes."""
