"""RLIP-ParSe: ParSe with texts, which go through the encoder with the pixels."""
