"""The packing executor: tasks placed by what they ask for, on nodes that have it."""
