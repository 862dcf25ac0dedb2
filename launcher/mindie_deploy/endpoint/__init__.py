"""The served model's HTTP API: is it there, which models, and a chat."""
