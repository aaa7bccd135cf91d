"""Access: who may do what, from the organization down to one Dag. `docs/access/model.md` tells the model."""
