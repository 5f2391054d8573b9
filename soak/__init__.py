"""A disk driver killed and replaced at random moments, under a reader that checks every byte: `make soak`."""
