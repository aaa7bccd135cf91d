"""A map of the world that is made of nothing but airports."""

from __future__ import annotations

import io
import math
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from PIL.Image import Image

Position = tuple[str, float, float]  # region, longitude and latitude in degrees

WIDTH, HEIGHT = 1600, 940
SCALE = 2  # drawn larger, then made smaller: that is what smooths the lines and dots
MAP_CENTRE = (800, 492)
MAP_UNIT = 262  # pixels per unit of the projection, whose world is 5.41 units wide

BACKGROUND = (11, 16, 32)
GRID = (38, 47, 77)
INK = (232, 236, 248)
FAINT_INK = (140, 150, 184)
COLOURS = {
    "Americas": (96, 178, 255),
    "Europe": (255, 202, 87),
    "Asia": (255, 120, 117),
    "Africa": (126, 217, 137),
    "Oceania": (196, 146, 255),
    "Oceans and poles": (98, 226, 219),
}


def projected(longitude: float, latitude: float) -> tuple[float, float]:
    """Return x and y of the Equal Earth projection, which keeps areas comparable."""
    a1, a2, a3, a4 = 1.340264, -0.081106, 0.000893, 0.003796
    theta = math.asin(math.sqrt(3) / 2 * math.sin(math.radians(latitude)))
    t2 = theta * theta
    t6 = t2 * t2 * t2
    slope = 9 * a4 * t6 * t2 + 7 * a3 * t6 + 3 * a2 * t2 + a1
    x = 2 * math.sqrt(3) * math.radians(longitude) * math.cos(theta) / (3 * slope)
    return x, theta * (a4 * t6 * t2 + a3 * t6 + a2 * t2 + a1)


def pixel(longitude: float, latitude: float) -> tuple[float, float]:
    """Return the place of a position on the large canvas."""
    x, y = projected(longitude, latitude)
    return (MAP_CENTRE[0] + x * MAP_UNIT) * SCALE, (MAP_CENTRE[1] - y * MAP_UNIT) * SCALE


def png(positions: Sequence[Position]) -> bytes:
    """Return the finished picture."""
    from PIL import Image

    canvas = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), BACKGROUND)
    _draw_grid(canvas)
    for region, colour in COLOURS.items():
        _draw_region(canvas, colour, (position for position in positions if position[0] == region))
    picture = canvas.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    _write_text(picture, Counter(region for region, _, _ in positions))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _draw_grid(canvas: Image) -> None:
    from PIL import ImageDraw

    draw = ImageDraw.Draw(canvas)
    for longitude in range(-180, 181, 30):
        edge = abs(longitude) == 180
        line = [pixel(longitude, latitude) for latitude in range(-90, 91, 3)]
        draw.line(line, fill=GRID, width=SCALE * (2 if edge else 1))
    for latitude in (-90, -60, -30, 0, 30, 60, 90):
        edge = abs(latitude) == 90
        draw.line([pixel(-180, latitude), pixel(180, latitude)], fill=GRID, width=SCALE * (2 if edge else 1))


def _draw_region(canvas: Image, colour: tuple[int, int, int], positions: Iterable[Position]) -> None:
    """Lay one region's dots and their glow over the canvas; crowded places shine brighter."""
    from PIL import Image, ImageChops, ImageDraw, ImageFilter

    crowd = Counter(
        (round(x), round(y)) for x, y in (pixel(longitude, latitude) for _, longitude, latitude in positions)
    )
    light = Image.new("L", canvas.size, 0)
    draw = ImageDraw.Draw(light)
    # The brightest last, so that a lonely neighbour does not darken them.
    for (x, y), count in sorted(crowd.items(), key=lambda item: item[1]):
        radius = 1.4 * SCALE / 2
        brightness = min(255, round(180 + 50 * math.log2(count)))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=brightness)
    glow = light.filter(ImageFilter.GaussianBlur(5 * SCALE)).point(lambda value: min(255, value * 1.1))
    tint = Image.new("RGB", canvas.size, colour)
    for mask in (glow, light):
        layer = Image.new("RGB", canvas.size)
        layer.paste(tint, mask=mask)
        canvas.paste(ImageChops.screen(canvas, layer))


def _write_text(picture: Image, counts: Counter[str]) -> None:
    from PIL import ImageDraw, ImageFont

    draw = ImageDraw.Draw(picture)
    draw.text((56, 38), "The world, drawn by its airports", fill=INK, font=ImageFont.load_default(40))
    subtitle = f"{counts.total():,} airports and landing strips · Equal Earth projection"
    draw.text((58, 92), subtitle, fill=FAINT_INK, font=ImageFont.load_default(20))
    left = 58.0
    font = ImageFont.load_default(19)
    for region, colour in COLOURS.items():
        draw.ellipse((left, 891, left + 13, 904), fill=colour)
        label = f"{region}  {counts[region]:,}"
        draw.text((left + 22, 886), label, fill=INK, font=font)
        left += 22 + draw.textlength(label, font=font) + 34
