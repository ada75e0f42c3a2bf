"""Why a process is not ready: named reasons, stages that stand still, room on disks."""
