"""A user's project folder: where its files are, how a new one is made, what its files say."""
