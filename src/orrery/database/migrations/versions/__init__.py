"""The revisions of Orrery's tables, one file each."""
