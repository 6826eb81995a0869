"""Colours with the names that captions use."""

from __future__ import annotations

from relforge.demo.world.pen import Colour

COLOURS: dict[str, Colour] = {
    "red": (200, 45, 40),
    "blue": (50, 90, 190),
    "green": (50, 140, 70),
    "yellow": (230, 200, 60),
    "orange": (235, 140, 45),
    "purple": (130, 70, 160),
    "pink": (235, 150, 180),
    "white": (238, 238, 232),
    "black": (45, 45, 50),
    "brown": (125, 80, 45),
    "gray": (135, 135, 140),
}

CLOTHES = ("red", "blue", "green", "yellow", "orange", "purple", "pink", "white", "black", "gray")
FUR = {
    "brown": (130, 85, 50),
    "black": (55, 50, 50),
    "white": (232, 228, 220),
    "gray": (140, 138, 135),
    "tan": (200, 160, 110),
}
SKIN: tuple[Colour, ...] = ((244, 208, 178), (225, 175, 135), (185, 130, 90), (130, 88, 60), (95, 62, 42))
HAIR: tuple[Colour, ...] = ((45, 32, 25), (110, 70, 35), (205, 165, 85), (150, 145, 140), (150, 60, 30))
WOOD: tuple[Colour, ...] = ((150, 100, 60), (115, 75, 45), (185, 140, 90))
SKIES: tuple[Colour, ...] = ((160, 205, 240), (200, 222, 240), (240, 200, 165), (120, 140, 175))
GROUNDS: tuple[Colour, ...] = ((115, 160, 80), (200, 185, 140), (140, 140, 138), (160, 130, 95))
WALLS: tuple[Colour, ...] = ((230, 222, 205), (200, 215, 220), (225, 205, 205), (205, 215, 195))
FLOORS: tuple[Colour, ...] = ((170, 130, 95), (150, 150, 155), (195, 180, 160), (120, 95, 80))
