"""RLIPv2-ParSeD, RLIPv2-ParSeDA and the R-Tagger (Yuan et al., ICCV 2023)."""
