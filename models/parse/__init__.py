"""ParSe: subjects and objects as queries of one DETR decoder, relations as those of a second."""
