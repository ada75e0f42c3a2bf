"""What a worker takes of its topics, bounded in bytes."""
