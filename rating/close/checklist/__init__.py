"""The checklist of a run: findings to review before it bills."""
