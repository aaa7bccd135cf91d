"""All components of a deployment on this machine: environments, processes, PostgreSQL, readiness."""
