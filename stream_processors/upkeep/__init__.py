"""What watches over a worker: its consumers, its lag, its logs."""
