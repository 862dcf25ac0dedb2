"""The lab of the weights exchange: members on shaped links, what is sent between them, and what it cost."""
