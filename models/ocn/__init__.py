"""OCN: QPIC, whose relations are calibrated by which verbs an object takes and which verbs go together."""
