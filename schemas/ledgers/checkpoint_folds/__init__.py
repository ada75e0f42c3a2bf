"""The fold of usage.checkpoints (``checkpoint_fold``), and its file (``stored_checkpoints``)."""
