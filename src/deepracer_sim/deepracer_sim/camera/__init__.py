"""The camera and the world it sees, rendered in software."""
