"""Images, archives and tables that are damaged, of another kind than they say, or bombs."""

import gzip
import io
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from tests.attack import forge
from tests.attack.case import ANY, BAD, EITHER, GOOD, Case, Place, Prepare
from tests.attack.forge import DIGITS, NESTED, copied, described, npy, written
from tests.data import examples

_PIXELS = np.arange(64, dtype=np.uint8).reshape(8, 8)


def _encoded(kind: str, pixels: Any = _PIXELS, **options: Any) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def picture(data: Callable[[], bytes], name: str = "a.png") -> Prepare:
    """Return what writes a folder of two images, the second of which is this."""

    def prepare(place: Place) -> None:
        (place / "odd/b.png").write_bytes(_encoded("PNG"))
        (place / f"odd/{name}").write_bytes(data())

    return prepare


# What Pillow knows, by the bytes that it knows it by; some would start other programs.
_STARTS: dict[str, bytes] = {
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n",
    "EPS in DOS": b"\xc5\xd0\xd3\xc6"
    + struct.pack("<6I", 30, 90, 0, 0, 0, 0)
    + b"\0\0"
    + b"%!PS\n",
    "EPS of a huge box": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99999 99999\n%%EOF\n",
    "WMF": b"\xd7\xcd\xc6\x9a" + bytes(80),
    "EMF": b"\x01\0\0\0" + bytes(36) + b" EMF" + bytes(60),
    "PSD": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 8, 8, 8, 3) + bytes(40),
    "FITS": b"SIMPLE  =                    T" + b" " * 2850,
    "GRIB": b"GRIB\0\0\0\1" + bytes(40),
    "BUFR": b"BUFR" + bytes(40),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(40),
    "ICNS": b"icns" + struct.pack(">I", 2**31) + b"ic08" + struct.pack(">I", 2**31),
    "ICO": b"\0\0\1\0\1\0\0\0\0\0\1\0\x20\0\xff\xff\xff\xff\x16\0\0\0",
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + struct.pack(">I4s", 4, b"jp2h"),
    "FLI": struct.pack("<IHHHH", 128, 0xAF11, 1, 8, 8) + bytes(120),
    "PCX": b"\n\5\1\x08" + bytes(124),
    "SGI": struct.pack(">HBBHHHH", 474, 0, 1, 3, 8, 8, 3) + bytes(500),
    "SUN": struct.pack(">8I", 0x59A66A95, 8, 8, 24, 0, 1, 0, 0) + bytes(20),
    "TGA": struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, 60_000, 60_000, 24, 0),
    "DDS": b"DDS " + struct.pack("<I", 124) + b"\xff" * 120,
    "MSP": b"DanM" + bytes(40),
    "XBM": b"#define x_width 99999\n#define x_height 99999\nstatic char x_bits[] = {\n0x00",
    "XPM": b'/* XPM */\nstatic char *x[] = {\n"99999 99999 1 1",\n"a c #000000",',
    "PPM of a huge size": b"P6 99999 99999 255\n",
    "PPM of 5,000 digits": b"P6 " + DIGITS.encode() + b" 8 255\n",
    "PFM": b"Pf 8 8 nan\n" + bytes(256),
    "IM": b"Image type: \xff\r\n" * 9 + b"\x1a",
    "QOI": b"qoif" + struct.pack(">IIBB", 60_000, 60_000, 4, 0) + b"\xfd" * 20,
    "AVIF": struct.pack(">I", 28) + b"ftypavif\0\0\0\0avifmif1miaf",
    "a PDF": b"%PDF-1.4\n%%EOF\n",
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "nothing": b"",
    "one byte": b"\x89",
    "text": b"\x1b[31mno image\n" * 9,
}


def _chunk(kind: bytes, data: bytes, crc: int | None = None) -> bytes:
    made = zlib.crc32(kind + data) if crc is None else crc
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", made)


def _png(
    width: int, height: int, data: bytes, *chunks: bytes, depth: int = 8, kind: int = 0
) -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    body = _chunk(b"IDAT", zlib.compress(data))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + body + _chunk(b"IEND", b"")


_ROWS = b"".join(b"\0" + bytes(row) for row in _PIXELS)

_PNGS: dict[str, bytes] = {
    "60,000 x 60,000": examples.PNG_BOMB,
    "no width": _png(0, 8, b""),
    "2**31 wide": _png(2**31 - 1, 1, b""),
    "a filter that is none": _png(8, 8, b"\x09" + _ROWS[1:]),
    "too few rows": _png(8, 8, _ROWS[:20]),
    "16 bits": _png(8, 8, b"".join(b"\0" + bytes(16) for _ in range(8)), depth=16),
    "1 bit": _png(8, 8, b"\0\x55" * 8, depth=1),
    "a depth of 3": _png(8, 8, _ROWS, depth=3),
    "colour that is none": _png(8, 8, _ROWS, kind=5),
    "no palette": _png(8, 8, _ROWS, kind=3),
    "a palette of 5 bytes": _png(8, 8, _ROWS, _chunk(b"PLTE", b"12345"), kind=3),
    "an empty palette": _png(8, 8, _ROWS, _chunk(b"PLTE", b""), kind=3),
    "a palette that is too short": _png(8, 8, _ROWS, _chunk(b"PLTE", bytes(6)), kind=3),
    "transparency of a byte": _png(8, 8, _ROWS, _chunk(b"tRNS", b"\1")),
    "transparency of kilobytes": _png(8, 8, _ROWS, _chunk(b"tRNS", bytes(9_000))),
    "text that unpacks to 200 MB": _png(
        8, 8, _ROWS, _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(200_000_000)))
    ),
    "a colour profile of rubbish": _png(8, 8, _ROWS, _chunk(b"iCCP", b"a\0\0" + b"\xff" * 40)),
    "a wrong checksum": _png(8, 8, _ROWS, _chunk(b"tEXt", b"a\0b", crc=1)),
    "EXIF of rubbish": _png(8, 8, _ROWS, _chunk(b"eXIf", b"\xff" * 40)),
    "an animation of 2**31 frames": _png(
        8, 8, _ROWS, _chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))
    ),
    "a chunk of 2 GB": b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 2**31 - 1) + b"IHDR" + bytes(40),
}


def _exif(kind: int, count: int, value: bytes) -> bytes:
    """Return EXIF with an orientation of a type, a number of values, and where they are."""
    entry = struct.pack("<HHI4s", 0x0112, kind, count, value)
    return b"Exif\0\0II*\0\x08\0\0\0\x01\0" + entry + bytes(4)


_EXIFS: dict[str, bytes] = {
    "text": _exif(2, 4, b"abc\0"),
    "long text": _exif(2, 60_000, struct.pack("<I", 26)),
    "a fraction": _exif(5, 1, struct.pack("<I", 26)) + struct.pack("<II", 6, 0),
    "bytes": _exif(7, 4, b"\6\0\0\0"),
    "a double": _exif(12, 1, struct.pack("<I", 26)) + struct.pack("<d", float("nan")),
    "two values": _exif(3, 2, struct.pack("<HH", 6, 6)),
    "no value": _exif(3, 0, bytes(4)),
    "2**32 values": _exif(3, 2**32 - 1, bytes(4)),
    "0": _exif(3, 1, struct.pack("<I", 0)),
    "99": _exif(3, 1, struct.pack("<I", 99)),
    "-6": _exif(8, 1, struct.pack("<i", -6)),
    "a type that is none": _exif(99, 1, bytes(4)),
    "rubbish": b"Exif\0\0" + b"\xff" * 60,
    "an offset beyond the end": b"Exif\0\0II*\0\xff\xff\xff\xff",
    "a ring of directories": b"Exif\0\0II*\0\x08\0\0\0\0\0\x08\0\0\0",
}


def _oriented(exif: bytes, in_png: bool) -> bytes:
    if in_png:
        return _png(8, 8, _ROWS, _chunk(b"eXIf", exif[6:]))
    return _encoded("JPEG", exif=exif)


def _tiff(*entries: tuple[int, int, int, int]) -> bytes:
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body + bytes(200)


_TIFFS: dict[str, bytes] = {
    "no strips": _tiff((256, 3, 1, 8), (257, 3, 1, 8)),
    "60,000 x 60,000": _tiff(
        (256, 4, 1, 60_000), (257, 4, 1, 60_000), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
        (273, 4, 1, 8), (278, 4, 1, 60_000), (279, 4, 1, 2**31),
    ),
    "a size of text": _tiff((256, 2, 4, 0x41414141), (257, 2, 4, 0x41414141)),
    "a ring": b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
    "200 bits": _tiff((256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 1, 200), (273, 4, 1, 8)),
}  # fmt: skip


def _damaged_images() -> Iterator[tuple[str, Callable[[], bytes]]]:
    for kind in ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"):
        pixels = np.tile(_PIXELS, (4, 4))
        data = _encoded(kind, pixels)
        half = len(data) // 2
        yield f"{kind} cut at its head", partial(bytes, data[:20])
        yield f"{kind} cut at its half", partial(bytes, data[:half])
        yield (
            f"{kind} of noise within",
            partial(bytes, data[:half] + b"\xa5" * 20 + data[half + 20 :]),
        )


def _other_formats() -> Iterator[tuple[str, Callable[[], bytes]]]:
    colors = np.stack([_PIXELS] * 3, -1)
    for kind in ("PPM", "TGA", "PCX", "ICO", "IM", "DDS", "JPEG2000", "MPO", "PDF"):
        yield kind, partial(_encoded, kind, colors)
    yield "TIFF of NaN", partial(_encoded, "TIFF", np.full((8, 8), np.nan, np.float32))
    yield "TIFF of int32", partial(_encoded, "TIFF", _PIXELS.astype(np.int32))
    yield "TIFF of uint16", partial(_encoded, "TIFF", _PIXELS.astype(np.uint16))
    yield "JPEG in CMYK", _cmyk


def _cmyk() -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.new("CMYK", (8, 8)).save(file, "JPEG")
    return file.getvalue()


def _two_huge(place: Place) -> None:
    """Write two images of 13,300 x 13,300, just below what Pillow refuses; they pack well."""
    side, packer = 13_300, zlib.compressobj(1)
    row = bytes(1 + 4 * side)
    packed = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")
    for name in ("a", "b"):
        (place / f"odd/{name}.png").write_bytes(data)


_WHOLE_NPY = examples.npy(np.tile(_PIXELS, (40, 1, 1)))


def _zip(method: int, **members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return file.getvalue()


def _spoiled(data: bytes, count: int = 12) -> bytes:
    """Return an archive with noise in its first member's data."""
    start = data.index(b".npy") + 20
    return data[:start] + b"\xa5" * count + data[start + count :]


def _field(data: bytes, offset: int, value: bytes) -> bytes:
    """Return an archive of one member with a field of both its headers replaced."""
    central = data.index(b"PK\1\2")
    changed = bytearray(data)
    changed[offset : offset + len(value)] = value
    changed[central + offset + 2 : central + offset + 2 + len(value)] = value
    return bytes(changed)


def _many_members() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(20_000):
            archive.writestr(f"{number}.npy", b"")
    return file.getvalue()


_BIG_HEADER = npy(described("(100000, 100, 100)"))

_NPZS: dict[str, Callable[[], bytes]] = {
    "LZMA damaged": lambda: _spoiled(_zip(zipfile.ZIP_LZMA, a=_WHOLE_NPY)),
    "LZMA with a header of rubbish": lambda: _spoiled(_zip(zipfile.ZIP_LZMA, a=_WHOLE_NPY), 4),
    "BZIP2 damaged": lambda: _spoiled(_zip(zipfile.ZIP_BZIP2, a=_WHOLE_NPY)),
    "deflated, damaged": lambda: _spoiled(_zip(zipfile.ZIP_DEFLATED, a=_WHOLE_NPY)),
    "encrypted": lambda: _field(_zip(zipfile.ZIP_STORED, a=_WHOLE_NPY), 6, b"\1\0"),
    "packed by a method that is none": lambda: _field(
        _zip(zipfile.ZIP_STORED, a=_WHOLE_NPY), 8, b"\x63\0"
    ),
    "a version to come": lambda: _field(_zip(zipfile.ZIP_STORED, a=_WHOLE_NPY), 4, b"\xff\0"),
    "a bomb of zeros": lambda: _zip(zipfile.ZIP_DEFLATED, a=_BIG_HEADER + bytes(200_000_000)),
    "terabytes": lambda: _zip(zipfile.ZIP_DEFLATED, a=npy(described("(1000000, 1000, 1000)"))),
    "a size of lies": lambda: _field(
        _zip(zipfile.ZIP_DEFLATED, a=_BIG_HEADER), 22, struct.pack("<I", 1_000_000_128)
    ),
    "20,000 members": _many_members,
    "nothing": lambda: _zip(zipfile.ZIP_STORED),
    "objects": lambda: _zip(zipfile.ZIP_STORED, a=npy(described("(3,)", "'|O'"), bytes(24))),
    "a name of escapes": lambda: _zip(zipfile.ZIP_STORED, **{"\x1b[31m\n": b"", "b": b""}),
    "two of one name": lambda: _zip(zipfile.ZIP_STORED, a=_WHOLE_NPY) + b"PK\5\6" + bytes(18),
    "no directory": lambda: _zip(zipfile.ZIP_STORED, a=_WHOLE_NPY)[:-30],
    "the magic alone": lambda: b"PK\3\4",
    "a member that nests": lambda: _zip(
        zipfile.ZIP_STORED, a=npy("(" * 3_000 + ")" * 3_000, version=2)
    ),
    "Keras with lists for labels": lambda: examples.npz(
        x_train=_WHOLE_NPY, y_train=examples.npy([[1, 2]]), x_test=_WHOLE_NPY,
        y_test=examples.npy([1]),
    ),
    "Keras with a part of no rows": lambda: examples.npz(
        x_train=_WHOLE_NPY, x_test=examples.npy(np.zeros((0, 8, 8), np.uint8))
    ),
}  # fmt: skip


def _idx(kind: int, *shape: int, data: bytes = b"") -> bytes:
    return bytes([0, 0, kind, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + data


_IDXS: dict[str, Callable[[], bytes]] = {
    "a bomb": lambda: gzip.compress(_idx(8, 60_000, 100, 100, data=bytes(300_000_000)), 1),
    "terabytes": lambda: gzip.compress(_idx(8, 2**31, 1_000, 1_000)),
    "cut in gzip": lambda: gzip.compress(_idx(8, 40, 8, 8, data=bytes(2_560)))[:-9],
    "noise in gzip": lambda: _noise(gzip.compress(_idx(8, 40, 8, 8, data=bytes(range(256)) * 10))),
    "rubbish after gzip": lambda: gzip.compress(_idx(8, 40, 8, 8, data=bytes(2_560))) + b"rubbish",
    "gzip in gzip": lambda: gzip.compress(gzip.compress(_idx(8, 40, 8, 8, data=bytes(2_560)))),
    "gzip of nothing": lambda: gzip.compress(b""),
    "the magic of gzip": lambda: b"\x1f\x8b",
    "a gzip that says 200": lambda: b"\x1f\x8b\xc8" + bytes(40),
    "floats that are cut": lambda: _idx(0x0D, 3, 8, 8, data=bytes(700)),
    "no type": lambda: _idx(0, 3, 8, 8, data=bytes(192)),
    "no axes": lambda: _idx(8),
    "255 axes": lambda: _idx(8, *[1] * 255, data=b"\0"),
    "no rows": lambda: _idx(8, 0, 8, 8),
    "no pixels": lambda: _idx(8, 8, 0, 0),
    "2**32 rows of nothing": lambda: _idx(8, 2**32 - 1, 0, 8),
    "a byte too many": lambda: _idx(8, 3, 8, 8, data=bytes(193)),
}


def _noise(data: bytes) -> bytes:
    return data[:20] + b"\xa5" * 8 + data[28:]


def _needs_pyarrow() -> str | None:
    return None if find_spec("pyarrow") else "pyarrow is not installed"


def _table(make: Callable[[Any, bytes], Any], metadata: bytes | None = None) -> Prepare:
    """Return what writes a Parquet file: of what a function makes of pyarrow and an image."""

    def prepare(place: Place) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = make(pa, _encoded("PNG"))
        if metadata is not None:
            table = table.replace_schema_metadata({b"huggingface": metadata})
        pq.write_table(table, place / "x.parquet")

    return prepare


def _labelled(values: Callable[[Any], Any]) -> Prepare:
    return _table(lambda pa, png: pa.table({"image": [png] * 3, "label": values(pa)}))


def _described(features: str) -> Prepare:
    text = f'{{"info": {{"features": {features}}}}}'
    return _table(lambda pa, png: pa.table({"image": [png] * 3, "label": [0, 1, 2]}), text.encode())


_PARQUETS: dict[str, tuple[Prepare, frozenset[int]]] = {
    "labels of floats": (_labelled(lambda pa: [0.0, 1.0, float("nan")]), EITHER),
    "labels of text": (_labelled(lambda pa: ["a", "\x1b[31m", "c"]), EITHER),
    "labels of truth": (_labelled(lambda pa: [True, False, True]), EITHER),
    "labels of lists": (_labelled(lambda pa: [[1], [2], []]), EITHER),
    "labels beyond int64": (_labelled(lambda pa: pa.array([2**64 - 1] * 3, pa.uint64())), BAD),
    "labels below 0": (_labelled(lambda pa: [-(2**63), 0, 2**63 - 1]), EITHER),
    "labels of decimals": (
        _labelled(lambda pa: pa.array([1, 2, 3]).cast(pa.decimal128(20, 0))),
        EITHER,
    ),
    "labels of a dictionary": (
        _labelled(lambda pa: pa.array(["a", "b", "a"]).dictionary_encode()),
        EITHER,
    ),
    "labels that are missing": (_labelled(lambda pa: pa.array([1, None, 3])), GOOD),
    "labels of dates": (_labelled(lambda pa: pa.array([1, 2, 3], pa.timestamp("s"))), EITHER),
    "images as lists": (_table(lambda pa, png: pa.table({"image": [list(png)] * 3})), BAD),
    "images as text": (_table(lambda pa, png: pa.table({"image": ["a.png"] * 3})), BAD),
    "images as structures without bytes": (
        _table(lambda pa, png: pa.table({"image": [{"path": "a.png"}] * 3})),
        BAD,
    ),
    "images as lists of structures": (
        _table(lambda pa, png: pa.table({"image": [[{"bytes": png}]] * 3})),
        BAD,
    ),
    "images that are missing": (
        _table(lambda pa, png: pa.table({"image": pa.array([png, None, png], pa.binary())})),
        BAD,
    ),
    "images of nothing": (
        _table(lambda pa, png: pa.table({"image": pa.array([b""] * 3, pa.binary())})),
        BAD,
    ),
    "images of a fixed size": (
        _table(lambda pa, png: pa.table({"image": pa.array([png] * 3, pa.binary(len(png)))})),
        EITHER,
    ),
    "images in a dictionary": (
        _table(lambda pa, png: pa.table({"image": pa.array([png] * 3).dictionary_encode()})),
        EITHER,
    ),
    "two columns of one name": (
        _table(
            lambda pa, png: pa.Table.from_arrays(
                [pa.array([png] * 3), pa.array([png] * 3)], ["image", "image"]
            )
        ),
        EITHER,
    ),
    "two columns of labels": (
        _table(
            lambda pa, png: pa.Table.from_arrays(
                [pa.array([png] * 3), pa.array([0, 1, 2]), pa.array([2, 1, 0])],
                ["image", "label", "label"],
            )
        ),
        EITHER,
    ),
    "no columns": (_table(lambda pa, png: pa.table({})), BAD),
    "columns of escapes": (_table(lambda pa, png: pa.table({"\x1b[31m\n": [1, 2, 3]})), BAD),
    "1,000 columns": (
        _table(lambda pa, png: pa.table({f"column {i}": [1] for i in range(1_000)})),
        BAD,
    ),
    "paths of escapes": (
        _table(lambda pa, png: pa.table({"image": [{"bytes": png, "path": "\x1b[31m\n"}] * 3})),
        EITHER,
    ),
    "features: not JSON": (
        _table(lambda pa, png: pa.table({"image": [png] * 3, "label": [0, 1, 2]}), b"\xff{"),
        EITHER,
    ),
    "features: a list": (_described("[]"), EITHER),
    "features: nested": (_described(NESTED), EITHER),
    "features: 5,000 digits": (_described(DIGITS), EITHER),
    "features: names of numbers": (_described('{"label": {"names": [1, null, []]}}'), EITHER),
    "features: names of escapes": (
        _described('{"label": {"names": ["\\u001b[31m", "a\\nb", "\\ud800"]}}'),
        EITHER,
    ),
    "features: too few names": (_described('{"label": {"names": ["a"]}}'), BAD),
    "features: names of an object": (_described('{"label": {"names": {"a": 1}}}'), EITHER),
    "features: of numbers": (_described('{"label": 5, "image": true}'), EITHER),
}


def _rows_of_zeros(place: Place) -> None:
    """Write 12 rows of 300 MB each, in another process, which takes the memory with it."""
    program = (
        "import sys, pyarrow as pa, pyarrow.parquet as pq\n"
        "schema = pa.schema([('image', pa.binary())])\n"
        "batch = pa.table({'image': [bytes(300_000_000)]}, schema=schema)\n"
        "with pq.ParquetWriter(sys.argv[1], schema, compression='zstd', use_dictionary=False)"
        " as file:\n"
        "    for _ in range(12):\n"
        "        file.write_table(batch)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(place / "x.parquet")], check=True)


def _rows() -> Iterator[Case]:
    show = "data show odd"
    for number, (fault, data) in enumerate(_STARTS.items()):
        yield Case(
            f"{fault}, called .png",
            show,
            (picture(partial(bytes, data)),),
            EITHER if fault in ("PFM",) else BAD,
            short=number % 2 == 0 and not fault.startswith("XBM"),
        )
    for fault, data in _PNGS.items():
        yield Case(
            f"PNG: {fault}",
            f"{show} --size 8",
            (picture(partial(bytes, data)),),
            EITHER,
            short=True,
        )
    for number, (fault, exif) in enumerate(_EXIFS.items()):
        in_png = number % 5 == 4
        yield Case(
            f"orientation in {'PNG' if in_png else 'JPEG'}: {fault}",
            show,
            (picture(partial(_oriented, exif, in_png)),),
            EITHER,
            short=True,
        )
    for fault, tiff in _TIFFS.items():
        yield Case(
            f"TIFF: {fault}", show, (picture(partial(bytes, tiff), "a.tif"),), BAD, short=True
        )
    for number, (fault, make) in enumerate(_damaged_images()):
        yield Case(fault, f"{show} --size 8", (picture(make),), EITHER, short=number % 3 == 0)
    for fault, make in _other_formats():
        yield Case(
            f"a whole {fault}, called .png", show, (picture(make),), EITHER, short=fault == "PCX"
        )
    yield Case(
        "two images of 13,300 x 13,300",
        show,
        (_two_huge,),
        EITHER,
        own_process=True,
    )
    yield Case(
        "two images of 13,300 x 13,300, made small",
        f"{show} --size 8",
        (_two_huge,),
        EITHER,
        own_process=True,
    )
    for number, (fault, make) in enumerate(_NPZS.items()):
        heavy = fault in ("a bomb of zeros", "a size of lies", "20,000 members")
        yield Case(
            f".npz: {fault}",
            ("data show x.npz", "train x.npz -o new")[number % 4 == 3],
            (_bytes("x.npz", make),),
            EITHER if fault in ("a version to come", "two of one name") else BAD,
            own_process=heavy,
            short=not heavy,
        )
    for number, (fault, make) in enumerate(_IDXS.items()):
        heavy = fault in ("a bomb",)
        yield Case(
            f"IDX: {fault}",
            ("data show x.gz", "data show images.npy --labels x.gz")[number % 4 == 3],
            (copied("images.npy"), _bytes("x.gz", make)),
            BAD,
            own_process=heavy,
            short=not heavy,
        )
    for number, (fault, (prepare, codes)) in enumerate(_PARQUETS.items()):
        yield Case(
            f"Parquet: {fault}",
            "data show x.parquet --json" if number % 2 else "data show x.parquet",
            (prepare,),
            codes,
            needs=_needs_pyarrow,
            short=True,
        )
    yield Case(
        "Parquet: 12 rows of 300 MB",
        "data show x.parquet",
        (_rows_of_zeros,),
        BAD,
        needs=_needs_pyarrow,
        own_process=True,
    )
    for place, size in (("head", 10), ("middle", 600), ("end", -20)):
        yield Case(
            f"Parquet: cut at its {place}",
            "data show x.parquet",
            (_labelled(lambda pa: [0, 1, 2]), forge.cut("x.parquet", size)),
            needs=_needs_pyarrow,
            short=True,
        )
    for index in (6, 40, -9, -5):
        yield Case(
            f"Parquet: byte {index} flipped",
            "data show x.parquet",
            (_labelled(lambda pa: [0, 1, 2]), forge.flipped("x.parquet", index)),
            EITHER,
            needs=_needs_pyarrow,
            short=True,
        )
    for shape, kind in (("(9000000000, 8, 8)", "'|u1'"), ("(20, 8, 8)", "'<f8'")):
        yield Case(
            f"zeros without end: {shape}",
            "train x.npy -o new --epochs 1 --hidden 4",
            (forge.sparse("x.npy", npy(described(shape, kind)), 64 * 20 * 8),),
            ANY,
            own_process=True,
        )
    yield Case(
        "an image that is a program",
        show,
        (written("odd/a.png", b"#!/bin/sh\ntouch /tmp/ran\n"),),
        short=True,
    )


def _bytes(name: str, make: Callable[[], bytes]) -> Prepare:
    return lambda place: (place / name).write_bytes(make())


CASES = list(_rows())
