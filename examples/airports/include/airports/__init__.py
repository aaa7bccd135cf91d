"""The world's airports: where they come from, which are good, where they are kept, how they are shown."""
