"""Pixel operations on one image: float32 planes in NumPy, ``(C, H, W)``, values from 0 to ``top``.

``top`` is 255 for 8-bit images and 65535 for 16-bit images: the same code serves both. All functions keep the values
between 0 and ``top``, and nothing is rounded between operations. Functions that work in place say so. NumPy is faster
on such planes than Pillow on its interleaved bytes, and multi-crop training waits for exactly this work.
"""

import math
from typing import TypeAlias

import numpy as np

Pixels: TypeAlias = np.ndarray  # float32, (C, H, W)
_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R 601, as in Pillow


def luminance(pixels: Pixels) -> Pixels:
    """Convert RGB to grey, weighting each channel by its luminance.

    Args:
        pixels: Shape ``(3, H, W)``.

    Returns:
        Shape ``(1, H, W)``.
    """
    red, green, blue = (plane * np.float32(weight) for plane, weight in zip(pixels, _LUMINANCE))
    red += green
    red += blue
    return red[None]


def adjust_brightness(pixels: Pixels, factor: float, top: float) -> Pixels:
    """Multiply by ``factor``, in place: 0 gives black, 1 changes nothing. Shape ``(C, H, W)``, any C."""
    pixels *= np.float32(factor)
    return np.minimum(pixels, np.float32(top), out=pixels)


def adjust_contrast(pixels: Pixels, factor: float, top: float) -> Pixels:
    """Multiply the distance to the image's mean grey by ``factor``, in place: 0 gives that grey, 1 changes nothing.

    Args:
        pixels: Shape ``(C, H, W)``; the mean is that of the luminance, or of all values if C is not 3.
        factor: At least 0.
        top: Maximum value.

    Returns:
        The same array.
    """
    mean = float((luminance(pixels) if len(pixels) == 3 else pixels).mean())
    pixels *= np.float32(factor)
    pixels += np.float32(int(mean + 0.5) * (1 - factor))
    return np.clip(pixels, 0, np.float32(top), out=pixels)


def adjust_saturation(pixels: Pixels, factor: float, top: float) -> Pixels:
    """Multiply the distance of each pixel to its own grey by ``factor``, in place: 0 gives grey, 1 changes nothing.

    Args:
        pixels: Shape ``(3, H, W)``.
        factor: At least 0.
        top: Maximum value.

    Returns:
        The same array.
    """
    grey = luminance(pixels)
    grey *= np.float32(1 - factor)
    pixels *= np.float32(factor)
    pixels += grey
    return np.clip(pixels, 0, np.float32(top), out=pixels)


def shift_hue(pixels: Pixels, shift: float) -> Pixels:
    """Shift the hue of every pixel; the maximum and minimum of its channels (value and chroma of HSV) stay.

    With V the maximum channel, m the minimum and C = V - m, the hue in units of C needs no division:
    ``sign(G - B) (V - 2 m + G + B - R)``, from -3 C to 3 C with red at 0. Every channel is the same function of its
    distance ``d`` to its own hue (red 0, green 2 C, blue -2 C): ``m + clip(|d - 3 C| - C, 0, C)``.

    Args:
        pixels: Shape ``(3, H, W)``.
        shift: Fraction of the full circle, -0.5 to 0.5.

    Returns:
        A new array, shape ``(3, H, W)``.
    """
    if abs(shift) > 1 / 3:  # beyond it, distances leave the range of 7 C on which that function is periodic
        return shift_hue(shift_hue(pixels, shift / 2), shift / 2)
    red, green, blue = pixels
    value = np.maximum(np.maximum(red, green), blue)
    lowest = np.minimum(np.minimum(red, green), blue)
    chroma = value - lowest
    hue = np.copysign(chroma - lowest + green + blue - red, green - blue)
    hue += chroma * np.float32(6 * shift)
    turned = np.empty_like(pixels)
    twice, thrice, base = chroma + chroma, chroma * np.float32(3), lowest - chroma
    for plane, distance in zip(turned, (hue, hue - twice, hue + twice)):
        np.abs(distance, out=plane)
        plane -= thrice
        np.abs(plane, out=plane)
        plane += base
        np.maximum(plane, lowest, out=plane)  # twice as fast as np.clip between arrays
        np.minimum(plane, value, out=plane)
    return turned


def solarize(pixels: Pixels, top: float) -> Pixels:
    """Invert the upper half of the range (128 to 255 for 8 bits). Shape ``(C, H, W)``, any C; returns a new array."""
    return np.where(pixels >= np.float32((top + 1) / 2), np.float32(top) - pixels, pixels)


def gaussian_blur(pixels: Pixels, sigma: float) -> Pixels:
    """Blur with the kernel of Pillow's ``GaussianBlur(sigma)``; border pixels are replicated.

    Args:
        pixels: Shape ``(C, H, W)``, any C.
        sigma: Standard deviation in pixels, at least 0.

    Returns:
        Shape ``(C, H, W)``.
    """
    kernel = _half_kernel(sigma)
    radius = len(kernel) - 1
    if radius == 0:
        return pixels
    _, height, width = pixels.shape
    padded = _extend(pixels, radius)
    # Neighbours are shifts of the flat array; values from other rows and planes end up in the margin.
    flat = padded.reshape(-1)
    across = _filter(flat, kernel, 1, np.empty_like(flat))
    _filter(across, kernel, padded.shape[2], flat)
    return padded[:, :height, :width]


def _filter(values: np.ndarray, kernel: list[float], step: int, out: np.ndarray) -> np.ndarray:
    """Filter a flat array with a symmetric kernel; the result is at the front of ``out``, two margins shorter."""
    margin = (len(kernel) - 1) * step
    length = len(values) - 2 * margin
    result = np.multiply(values[margin : margin + length], np.float32(kernel[0]), out=out[:length])
    pair = np.empty_like(result)
    for distance, weight in enumerate(kernel[1:], start=1):
        left, right = margin - distance * step, margin + distance * step
        np.add(values[left : left + length], values[right : right + length], out=pair)
        pair *= np.float32(weight)
        result += pair
    return result


def _extend(pixels: Pixels, margin: int) -> Pixels:
    channels, height, width = pixels.shape
    padded = np.empty((channels, height + 2 * margin, width + 2 * margin), pixels.dtype)
    inside = slice(margin, -margin)
    padded[:, inside, inside] = pixels
    padded[:, :margin, inside], padded[:, -margin:, inside] = pixels[:, :1], pixels[:, -1:]
    padded[:, :, :margin], padded[:, :, -margin:] = padded[:, :, margin, None], padded[:, :, -margin - 1, None]
    return padded


def _half_kernel(sigma: float) -> list[float]:
    """Weights of three equal box filters with fractional ends, from the centre outwards; cut below 1/500 of the first.

    Source: extended box filters (Gwosdek et al., SSVM 2011), which Pillow applies one after the other.
    """
    variance = sigma**2 / 3
    whole = int((math.sqrt(12 * variance + 1) - 1) / 2)
    end = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance) / (6 * (variance - (whole + 1) ** 2))
    box = np.array([end, *[1.0] * (2 * whole + 1), end])
    half = np.convolve(np.convolve(box, box), box)[3 * (whole + 1) :]
    half = half[half >= half[0] / 500]
    return (half / (2 * half.sum() - half[0])).tolist()
