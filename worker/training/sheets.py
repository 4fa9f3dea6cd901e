"""Contact sheets: many pictures in one PNG, to be looked at."""

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor


def save_sheet(pictures: Tensor, path: Path, *, columns: int) -> None:
    """Writes `pictures`, float [B, 3, H, W] in 0..1, row by row; the last row is filled white."""
    count, channels, height, width = pictures.shape
    rows = -(-count // columns)
    sheet = torch.ones(rows * columns, channels, height, width)
    sheet[:count] = pictures
    sheet = sheet.view(rows, columns, channels, height, width).permute(0, 3, 1, 4, 2)
    pixels = (sheet.reshape(rows * height, columns * width, channels) * 255.0).round()
    Image.fromarray(pixels.to(torch.uint8).numpy()).save(path)
