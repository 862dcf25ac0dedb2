"""SSH of the launcher's own: the logs of all hosts at once, and a tunnel to the endpoint."""
