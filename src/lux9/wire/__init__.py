"""9P with no I/O: messages, codec, dialects, and what a served file must be able to do."""
