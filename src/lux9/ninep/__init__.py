"""Sockets meet 9P: the server's session, the client, and their transports."""
