"""From a scene to an image and the boxes of what can be seen in it."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from relforge.demo.world.catalogue import CLASSES
from relforge.demo.world.pen import SUPERSAMPLE, Pen, shade
from relforge.demo.world.scene import Scene, Thing

_POST = (235, 40, 130, 255)

Box = tuple[float, float, float, float]


def render(scene: Scene, rng: np.random.Generator) -> tuple[Image.Image, list[Box | None], list[float]]:
    """Draw a scene far to near.

    Returns:
        The RGB image; for each thing its box (x, y, w, h, pixels, around all of it that lies inside the
        image, hidden parts included), or None where nothing of it is in the image; and the share of
        its pixels that nothing nearer hides.
    """
    width, height = scene.size
    canvas = _draw_backdrop(scene, rng)
    alphas: list[np.ndarray] = [np.zeros(0)] * len(scene.things)
    order = sorted(range(len(scene.things)), key=lambda i: (scene.things[i].depth, i))
    for index in order:
        layer = draw_thing(scene.things[index], scene.size)
        canvas.alpha_composite(layer)
        alphas[index] = np.asarray(layer.getchannel("A")) > 127
    _draw_ties(canvas, scene)
    boxes: list[Box | None] = [None] * len(scene.things)
    visible = [0.0] * len(scene.things)
    hidden = np.zeros((height * SUPERSAMPLE, width * SUPERSAMPLE), bool)
    for index in reversed(order):
        covered = alphas[index]
        rows, columns = np.flatnonzero(covered.any(1)), np.flatnonzero(covered.any(0))
        if len(rows):
            x, y = columns[0] / SUPERSAMPLE, rows[0] / SUPERSAMPLE
            right, bottom = (columns[-1] + 1) / SUPERSAMPLE, (rows[-1] + 1) / SUPERSAMPLE
            boxes[index] = (round(x, 1), round(y, 1), round(right - x, 1), round(bottom - y, 1))
            visible[index] = 1 - float(hidden[covered].mean())
        hidden |= covered
    image = canvas.convert("RGB").resize(scene.size, Image.Resampling.BOX)
    return _degrade(image, rng), boxes, visible


def draw_thing(thing: Thing, size: tuple[int, int]) -> Image.Image:
    """One thing on a transparent layer, `SUPERSAMPLE` times the image's size."""
    pen = Pen(size, thing.at, thing.height, thing.facing, thing.turn)
    CLASSES[thing.kind].draw(pen, thing)
    return pen.layer


def _draw_ties(canvas: Image.Image, scene: Scene) -> None:
    """Leashes, kite strings and posts: of `Pose.ties` and `Pose.posts`."""
    draw_on = ImageDraw.Draw(canvas)
    side = max(canvas.size)
    for thing in scene.things:
        for (x, top), (_, ground) in thing.pose.posts:
            x, top, ground, half = x * SUPERSAMPLE, top * SUPERSAMPLE, ground * SUPERSAMPLE, 0.03 * side
            draw_on.line([(x, top), (x, ground)], _POST, round(0.03 * side))
            draw_on.line([(x - half, ground), (x + half, ground)], _POST, round(0.02 * side))
        for (x0, y0), (x1, y1) in thing.pose.ties:
            draw_on.line(
                [(x0 * SUPERSAMPLE, y0 * SUPERSAMPLE), (x1 * SUPERSAMPLE, y1 * SUPERSAMPLE)],
                (40, 35, 35, 255),
                round(0.014 * side) if thing.bold else 2,
            )


def _draw_backdrop(scene: Scene, rng: np.random.Generator) -> Image.Image:
    width, height = scene.size[0] * SUPERSAMPLE, scene.size[1] * SUPERSAMPLE
    backdrop = scene.backdrop
    horizon = int(backdrop.horizon * SUPERSAMPLE)
    pixels = np.empty((height, width, 3), np.float32)
    fade = np.linspace(0.9, 1.08, height)[:, None, None]
    pixels[:horizon] = np.array(backdrop.far) * fade[::-1][:horizon]
    pixels[horizon:] = np.array(backdrop.near) * fade[horizon:]
    # blotches of light and dark: grass, plaster, clouds
    coarse = rng.normal(0, 1, (12, 12)).astype(np.float32)
    blotches = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    pixels += blotches[..., None] * backdrop.texture
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).convert("RGBA")
    pencil = ImageDraw.Draw(image)
    if backdrop.place == "room":
        pencil.line([(0, horizon), (width, horizon)], (90, 75, 65, 255), 5)
        x, w = int(backdrop.window * width), width // 5
        pencil.rectangle(
            (x, horizon // 5, x + w, horizon * 3 // 5), (190, 220, 240, 255), (240, 240, 235, 255), 6
        )
    elif backdrop.place == "street":
        for x in range(0, width, width // 6):
            top = horizon - int(horizon * (0.3 + 0.5 * ((x * 7919) % 97) / 97))
            pencil.rectangle((x, top, x + width // 6, horizon), shade(backdrop.far, 0.75))
    elif backdrop.place == "beach":
        pencil.rectangle((0, int(horizon * 0.8), width, horizon), (90, 145, 185, 255))
    else:
        hill = [
            (0, horizon),
            (width * 0.25, horizon * 0.82),
            (width * 0.6, horizon),
            (width * 0.8, horizon * 0.88),
            (width, horizon),
        ]
        pencil.polygon(hill, shade(backdrop.near, 0.8))
    return image


def _degrade(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Vary brightness, colour cast, a lateral light gradient and sensor noise; blur one image in four."""
    if rng.random() < 0.25:
        image = image.filter(ImageFilter.GaussianBlur(0.5))
    pixels = np.asarray(image, np.float64)
    across = np.linspace(-1, 1, pixels.shape[1])[None, :, None] * rng.uniform(-0.12, 0.12)
    pixels = pixels * (rng.uniform(0.8, 1.12) + across) * rng.uniform(0.94, 1.06, 3)
    pixels = pixels + rng.normal(0, rng.uniform(1, 5), pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
