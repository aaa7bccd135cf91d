"""The runtime as a container image: what it is called, how it is built, what is in it."""
