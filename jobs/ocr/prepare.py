"""Made this folder's data: pictures of receipts, drawn with Pillow's own font; no real ones.

    python jobs/ocr/prepare.py

data/*.png:   12 receipts of three or four lines
labels.jsonl: what is written on each
"""

import json
import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).resolve().parent
PICTURES = 12
SHOPS = ["Corner Bakery", "City Books", "Harbor Coffee", "Green Market", "Night Pharmacy", "Station Kiosk"]
GOODS = ["bread", "coffee", "stamps", "apples", "notebook", "bandages", "newspaper", "tea", "cheese", "batteries"]


def main() -> None:
    chance = random.Random(1)
    (HERE / "data").mkdir(exist_ok=True)
    with (HERE / "labels.jsonl").open("w", encoding="utf-8") as labels:
        for number in range(PICTURES):
            goods = [f"{good} {chance.randint(1, 49)}.{chance.randint(10, 99)}" for good in chance.sample(GOODS, 2)]
            lines = [chance.choice(SHOPS), *goods, f"Total {chance.randint(50, 99)}.{chance.randint(10, 99)}"]
            name = f"receipt_{number:02d}.png"
            draw(lines, chance).save(HERE / "data" / name, optimize=True)
            labels.write(json.dumps({"picture": name, "text": lines}) + "\n")


def draw(lines: list[str], chance: random.Random) -> Image.Image:
    """Dark text on light paper."""
    picture = Image.new("L", (300, 44 * len(lines) + 24), chance.randint(225, 255))
    pen = ImageDraw.Draw(picture)
    for row, line in enumerate(lines):
        pen.text((chance.randint(12, 24), 14 + 44 * row), line, fill=chance.randint(0, 60), font=FONT)
    return picture


FONT = ImageFont.load_default(size=28)

if __name__ == "__main__":
    main()
