"""The architectures that are told apart, beyond those that this version draws with."""

from typing import Final

# Slug -> what people call it. A new row needs a sign in `signs.py`.
NAMES: Final = {
    "sd1": "Stable Diffusion 1",
    "sd2": "Stable Diffusion 2",
    "sdxl": "Stable Diffusion XL",
    "sdxl-refiner": "the Stable Diffusion XL refiner",
    "sd-upscaler": "the Stable Diffusion x4 upscaler",
    "sd3": "Stable Diffusion 3",
    "flux": "FLUX.1",
    "flux2": "FLUX.2",
    "chroma": "Chroma",
    "z-image": "Z-Image",
    "qwen-image": "Qwen-Image",
    "krea2": "Krea 2",
    "lumina2": "Lumina 2",
    "sana": "Sana",
    "pixart": "PixArt",
    "auraflow": "AuraFlow",
    "kandinsky2": "Kandinsky 2",
    "kandinsky5": "Kandinsky 5",
    "cascade": "Stable Cascade",
    "hidream": "HiDream",
    "hunyuan-dit": "HunyuanDiT",
    "video": "a video model",
    # Of parts that are not of one architecture alone.
    "clip-l": "CLIP ViT-L",
    "clip-h": "OpenCLIP ViT-H",
    "clip-g": "OpenCLIP ViT-bigG",
    "t5": "T5",
    "llm": "a language model",
}
