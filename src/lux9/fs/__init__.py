"""File systems, served as files: each is a program that reads a block file and answers 9P."""
