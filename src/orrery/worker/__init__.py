"""The node agent: it starts tasks, keeps them apart, watches them, and tells how they ended."""
