"""From whatever a file holds to upright 8-bit sRGB."""

import io

import numpy as np
from PIL import ExifTags, Image, ImageCms

from pipelines.errors import ColorizerError

WHITE = (255, 255, 255)

# Tags of TIFF 6.0.
_BITS_PER_SAMPLE = 258
_PHOTOMETRIC = 262
_MIN_IS_WHITE = 0

# What shows a picture upright, by EXIF orientation; 1 and whatever is not defined do nothing.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_SPACE_OF_MODE = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}


def upright(rgb: Image.Image, original: Image.Image, notes: list[str]) -> Image.Image:
    """Turns `rgb` as the EXIF or XMP orientation of the loaded image that it came from asks for.

    What cannot be parsed is said in `notes`; the image stays as it is stored then.
    """
    # Pillow's parser raises whatever the damaged bytes lead it to.
    try:
        orientation = original.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception as error:
        notes.append(f"its orientation cannot be read ({error}): taken as stored")
        return rgb
    turn = _TURNS.get(orientation)
    return rgb if turn is None else rgb.transpose(turn)


def to_srgb(image: Image.Image, notes: list[str]) -> Image.Image:
    """Converts any 8 or 16-bit image to 8-bit sRGB, mode "RGB".

    A colour profile that fits is converted from. CMYK without a profile is taken as plain ink,
    all else as sRGB. Transparent parts are laid on white. Both that and a profile that does not
    fit is said in `notes`.

    Raises:
        ColorizerError: the samples are 32-bit integers or floats, which have no agreed white.
    """
    # Some of what `info` and EXIF say is known, or settled by Pillow itself, only after loading.
    image.load()
    profile = image.info.get("icc_profile")
    colours, alpha = _alpha_apart(image)
    rgb = _without_profile(colours) if not profile else _from_profile(colours, profile, notes)
    if alpha is None or alpha.getextrema()[0] == 255:
        return rgb
    notes.append("its transparent parts are laid on white")
    ground = Image.new("RGB", rgb.size, WHITE)
    ground.paste(rgb, mask=alpha)
    return ground


def _alpha_apart(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Splits into an image of mode 1, L, RGB, CMYK, YCbCr or LAB, and its alpha (mode L)."""
    mode = image.mode
    if mode.startswith("I;16"):
        return _eight_bits(image)
    if mode in ("I", "F"):
        raise ColorizerError("has 32 bits per sample: save it with 8 or 16 bits")
    transparent = "transparency" in image.info
    if mode in ("P", "PA", "RGBa") or (transparent and mode in ("1", "L", "RGB")):
        plain = mode == "P" and not transparent
        image = image.convert("RGB" if plain else "RGBA")
    elif mode == "La":
        image = image.convert("LA")
    if image.mode in ("RGBA", "LA"):
        return image.convert(image.mode[:-1]), image.getchannel("A")
    return image, None


def _eight_bits(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Scales 16-bit gray to 8 bits; Pillow's own conversion clips it to white."""
    values = np.asarray(image).astype(np.uint32)
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS_PER_SAMPLE, (16,))
    white = 2 ** (bits[0] if isinstance(bits, tuple) else bits) - 1
    gray = np.minimum((values * 255 + white // 2) // white, 255).astype(np.uint8)
    if tags.get(_PHOTOMETRIC) == _MIN_IS_WHITE:
        gray = 255 - gray
    clear = image.info.get("transparency")
    alpha = None if clear is None else Image.fromarray(np.uint8(255) * (values != clear))
    return Image.fromarray(gray), alpha


def _without_profile(image: Image.Image) -> Image.Image:
    if image.mode == "LAB":
        return _transformed(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")))
    return image.convert("RGB")


def _from_profile(image: Image.Image, profile: bytes, notes: list[str]) -> Image.Image:
    if image.mode not in _SPACE_OF_MODE:
        return _without_profile(image)
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        # Gray scans often carry an RGB profile: gray is R = G = B there.
        if image.mode == "L" and space == "RGB":
            image = image.convert("RGB")
        if space != _SPACE_OF_MODE[image.mode]:
            notes.append(f"its colour profile is one for {space} and not used")
            return _without_profile(image)
        if space == "RGB" and _is_srgb(source):
            return image
        return _transformed(image, source)
    except (ImageCms.PyCMSError, OSError) as error:
        notes.append(f"its colour profile is damaged and not used ({error})")
        return _without_profile(image)


def _is_srgb(source: ImageCms.ImageCmsProfile) -> bool:
    """Whether a profile changes no colour by more than rounding, whatever it calls itself."""
    steps = np.arange(0, 256, 51, dtype=np.uint8)
    lattice = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    changed = np.asarray(_transformed(Image.fromarray(lattice), source))
    return bool(np.abs(changed.astype(int) - lattice).max() <= 1)


def _transformed(image: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image:
    converted = ImageCms.profileToProfile(
        image,
        source,
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert converted is not None  # None only if asked to work in place
    return converted
