"""The networks: one folder a family, composed of `blocks`, trained with `training`."""
