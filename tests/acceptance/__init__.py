"""The acceptance run: one scenario, on processes, on containers and on Kubernetes."""
