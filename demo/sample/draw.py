"""Pictures of scenes: flat shapes, one way to draw each kind of thing."""

from __future__ import annotations

from PIL import Image, ImageDraw

from relforge.demo.sample.scene import GROUND, HEIGHT, WIDTH, Scene, Thing

COLOURS = {
    "person": "#c0392b",
    "horse": "#7b4a21",
    "dog": "#a9825a",
    "cat": "#444444",
    "bicycle": "#1f618d",
    "bench": "#8d6e4a",
    "chair": "#6d4c41",
    "dining table": "#b9770e",
    "cup": "#ffffff",
    "umbrella": "#7d3c98",
    "kite": "#f4d03f",
    "car": "#2471a3",
}


def draw(scene: Scene) -> Image.Image:
    """The scene as an RGB picture of WIDTH x HEIGHT pixels."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), "#cfe8f7")
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, GROUND, WIDTH, HEIGHT), fill="#8fbc6a")
    for thing in scene.things:
        _draw(pen, thing)
    return picture


def _draw(pen: ImageDraw.ImageDraw, thing: Thing) -> None:
    left, top = thing.x, thing.y
    right, bottom = left + thing.w, top + thing.h
    middle = (left + right) // 2
    colour = COLOURS[thing.category]
    match thing.category:
        case "person":
            head = thing.w // 2
            pen.ellipse((middle - head // 2, top, middle + head // 2, top + head), fill="#e8b48a")
            pen.rectangle((left + 6, top + head, right - 6, top + thing.h * 2 // 3), fill=colour)
            for foot in (left + 9, right - 9):
                pen.line((foot, top + thing.h * 2 // 3, foot, bottom), fill="#34495e", width=7)
        case "horse" | "dog" | "cat":
            body = top + thing.h * 3 // 5
            pen.ellipse((left, top + thing.h // 5, right - thing.w // 6, body), fill=colour)
            pen.ellipse((right - thing.w // 3, top, right, top + thing.h * 2 // 5), fill=colour)
            for foot in (left + thing.w // 6, right - thing.w // 3):
                pen.line((foot, body - 4, foot, bottom), fill=colour, width=max(3, thing.w // 12))
        case "bicycle" | "car":
            wheel = thing.h // 2
            if thing.category == "car":
                pen.rectangle((left, top + thing.h // 3, right, bottom - wheel // 2), fill=colour)
                pen.rectangle(
                    (left + thing.w // 4, top, right - thing.w // 4, top + thing.h // 3), fill=colour
                )
            else:
                pen.line(
                    (
                        left + wheel // 2,
                        bottom - wheel // 2,
                        middle,
                        top,
                        right - wheel // 2,
                        bottom - wheel // 2,
                    ),
                    fill=colour,
                    width=4,
                )
            for start in (left, right - wheel):
                pen.ellipse((start, bottom - wheel, start + wheel, bottom), outline="#222222", width=4)
        case "umbrella":
            pen.pieslice((left, top, right, top + 2 * thing.h), 180, 360, fill=colour)
        case "kite":
            pen.polygon(
                ((middle, top), (right, (top + bottom) // 2), (middle, bottom), (left, (top + bottom) // 2)),
                fill=colour,
            )
        case "cup":
            pen.rectangle((left, top, right, bottom), fill=colour, outline="#555555")
        case _:  # furniture: a board on two legs, a back for the chair
            board = top + thing.h // 3
            pen.rectangle((left, board, right, board + 7), fill=colour)
            for leg in (left + 4, right - 4):
                pen.line((leg, board, leg, bottom), fill=colour, width=5)
            if thing.category == "chair":
                pen.rectangle((left, top, left + 6, board), fill=colour)
