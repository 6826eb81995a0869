"""What stages that ask a vision-language model have in common."""
