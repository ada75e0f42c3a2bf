"""The Helm chart, linted, rendered and held against Kubernetes' own API schemas."""
