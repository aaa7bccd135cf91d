"""What Orrery knows about its releases, offline: the catalogue, its policy, and what follows from both."""
