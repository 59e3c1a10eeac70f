#!/usr/bin/python3
"""Write a corpus of difficult and broken pictures: the same bytes on every run.

  make_bad_images.py DIR        writes DIR/<name> and DIR/expected.tsv (name, status, width, height, what it is)

`status` is what lib/image.h must answer: ok, unreadable or unsupported; width and height are those of the upright
picture for ok, else 0. Sizes of the pixel limits are for the default limits (100 MPix, 100 scans). Needs python3-pil.
The unit tests, the fuzzer and the command-line tests all start from these files.
"""
import io
import os
import struct
import sys
import zlib

from PIL import Image


def photo(w=48, h=32, mode="RGB"):
    """A picture that no symmetry maps onto itself: red grows rightwards, green downwards, a blue corner."""
    im = Image.new("RGB", (w, h))
    im.putdata([(x * 255 // (w - 1), y * 255 // (h - 1), 255 if x < w // 4 and y < h // 4 else 40)
                for y in range(h) for x in range(w)])
    return im.convert(mode)


def encode(im, fmt, **options):
    out = io.BytesIO()
    im.save(out, fmt, **options)
    return out.getvalue()


def tiff_orientation(value, big=False):
    e = ">" if big else "<"
    head = (b"MM\0*" if big else b"II*\0") + struct.pack(e + "I", 8)
    return head + struct.pack(e + "HHHIHHI", 1, 0x0112, 3, 1, value, 0, 0)


def jpeg_with_exif(jpeg, block):
    body = b"Exif\0\0" + block
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def segments(jpeg):
    """(marker, start, end) of the segments before the entropy data; the last is SOS."""
    at, found = 2, []
    while True:
        marker, size = jpeg[at + 1], struct.unpack(">H", jpeg[at + 2:at + 4])[0]
        found.append((marker, at, at + 2 + size))
        if marker == 0xDA:
            return found
        at += 2 + size


def patch_size(jpeg, w, h):
    for marker, start, _ in segments(jpeg):
        if marker in (0xC0, 0xC1, 0xC2):
            return jpeg[:start + 5] + struct.pack(">HH", h, w) + jpeg[start + 9:]
    raise ValueError("no frame header")


def many_scans(count):
    """A valid progressive file of flat grey, 48x32 4:2:0, in `count` scans: one DC scan, then one for each coefficient of each
    component and each bit of precision from 13 down. All blocks are empty, so a scan is 20 bytes, yet the decoder walks
    over the whole picture for each."""
    def segment(marker, body):
        return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body

    head = encode(photo(), "JPEG", progressive=True)
    keep = [head[start:end] for marker, start, end in segments(head) if marker in (0xDB, 0xC2)]
    one_code = bytes([1] + [0] * 15) + b"\0"  # a table of one symbol, 0, whose code is the bit 0
    out = b"\xff\xd8" + b"".join(keep) + segment(0xC4, b"\x00" + one_code + b"\x10" + one_code)
    out += segment(0xDA, b"\3\1\0\2\0\3\0\0\0\0") + b"\0\0\0\0\x0f"  # 36 blocks
    todo = [(component, k, bit) for bit in range(13, -1, -1) for k in range(1, 64) for component in (1, 2, 3)]
    for component, k, bit in todo[:count - 1]:
        high = 0 if bit == 13 else bit + 1
        out += segment(0xDA, bytes([1, component, 0, k, k, high << 4 | bit]))
        out += b"\0\0\0" if component == 1 else b"\x03"  # 24 or 6 blocks
    return out + b"\xff\xd9"


def chunk(kind, data=b"", crc=None):
    real = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", real if crc is None else crc)


def png(w, h, depth, kind, rows, extra=b"", interlace=0):
    head = struct.pack(">IIBBBBB", w, h, depth, kind, 0, 0, interlace)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(rows, 9)) +
            chunk(b"IEND"))


def png16(w=48, h=32):
    rows = b"".join(b"\0" + b"".join(struct.pack(">HHH", x * 65535 // (w - 1), y * 65535 // (h - 1), 10000)
                                     for x in range(w)) for y in range(h))
    return png(w, h, 16, 2, rows)


def bmp(w, h, bits, body, compression=0, masks=b"", palette=b"", header=40, planes=1, offset=None):
    info = struct.pack("<IiiHHIIiiII", header, w, h, planes, bits, compression, 0, 2835, 2835, len(palette) // 4, 0)
    start = 14 + len(info) + len(masks) + len(palette)
    at = start if offset is None else offset
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, at) + info + masks + palette + body


def webp_container(parts):
    body = b"WEBP" + b"".join(k + struct.pack("<I", len(v)) + v + b"\0" * (len(v) & 1) for k, v in parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_with_exif(webp, w, h, block):
    kind, size = webp[12:16], struct.unpack("<I", webp[16:20])[0]
    vp8x = struct.pack("<I", 0x08) + struct.pack("<I", w - 1)[:3] + struct.pack("<I", h - 1)[:3]
    return webp_container([(b"VP8X", vp8x), (kind, webp[20:20 + size]), (b"EXIF", block)])


def jpegs(add):
    base = encode(photo(), "JPEG", quality=90)
    sos = segments(base)[-1][2]
    add("jpeg_plain.jpg", "ok", 48, 32, base, "baseline 4:2:0")
    add("jpeg_444.jpg", "ok", 48, 32, encode(photo(), "JPEG", quality=90, subsampling=0), "baseline 4:4:4")
    add("jpeg_progressive.jpg", "ok", 48, 32, encode(photo(), "JPEG", progressive=True), "progressive")
    add("jpeg_grey.jpg", "ok", 48, 32, encode(photo(mode="L"), "JPEG"), "one component")
    add("jpeg_cmyk.jpg", "ok", 48, 32, encode(photo(mode="CMYK"), "JPEG", quality=95), "CMYK, Adobe inverted")
    add("jpeg_1x1.jpg", "ok", 1, 1, encode(Image.new("RGB", (1, 1), (200, 10, 10)), "JPEG"), "one pixel")
    for o in range(1, 9):
        size = (48, 32) if o < 5 else (32, 48)
        add(f"jpeg_exif{o}.jpg", "ok", *size, jpeg_with_exif(base, tiff_orientation(o, o % 2 == 0)),
            f"orientation {o}")
    add("jpeg_exif0.jpg", "ok", 48, 32, jpeg_with_exif(base, tiff_orientation(0)), "orientation 0: not valid")
    add("jpeg_exif_junk.jpg", "ok", 48, 32, jpeg_with_exif(base, b"II*\0\xff\xff\xff\x7f" + b"\xff" * 40), "bad EXIF")
    add("jpeg_icc_adobe_junk.jpg", "ok", 48, 32, base[:2] + b"\xff\xe2\x00\x10ICC_PROFILE\0\xff" + b"\xff\xff" +
        base[2:], "broken profile: ignored")
    add("jpeg_no_eoi.jpg", "ok", 48, 32, base[:-2], "only the end marker is missing: all pixels are there")
    add("jpeg_trailing.jpg", "ok", 48, 32, base + b"\0" * 1000, "bytes after the end")
    for share in (50, 90):
        cut = sos + (len(base) - sos) * share // 100
        add(f"jpeg_cut{share}.jpg", "unreadable", 0, 0, base[:cut], f"cut after {share}% of the entropy data")
    add("jpeg_cut_header.jpg", "unreadable", 0, 0, base[:sos // 2], "cut inside the tables")
    add("jpeg_magic_only.jpg", "unreadable", 0, 0, base[:3], "three bytes")
    prog = encode(photo(), "JPEG", progressive=True)
    add("jpeg_progressive_cut_scan.jpg", "unreadable", 0, 0, prog[:prog.rindex(b"\xff\xda")], "last scan missing")
    add("jpeg_html_tail.jpg", "unreadable", 0, 0, base[:sos + 20] + b"<html>502 Bad Gateway</html>",
        "an error page after the first bytes")
    add("jpeg_zero_tail.jpg", "unreadable", 0, 0, base[:sos + 40] + b"\0" * (len(base) - sos - 40),
        "a download that was preallocated")
    add("jpeg_bad_huffman.jpg", "unreadable", 0, 0, base[:sos + 30] + b"\xff\x00" * 60 + base[sos + 150:],
        "codes of all ones")
    add("jpeg_huge.jpg", "unreadable", 0, 0, patch_size(base, 65500, 65500), "4 gigapixels in the header")
    add("jpeg_large_claim.jpg", "unreadable", 0, 0, patch_size(base, 10000, 9999), "100 MPix claimed, no data")
    add("jpeg_zero_width.jpg", "unreadable", 0, 0, patch_size(base, 0, 32), "width 0")
    add("jpeg_12bit.jpg", "unsupported", 0, 0, base.replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c", 1),
        "12 bits a sample")
    add("jpeg_lossless.jpg", "unsupported", 0, 0, base.replace(b"\xff\xc0", b"\xff\xc3", 1), "lossless frame")
    add("jpeg_100_scans.jpg", "ok", 48, 32, many_scans(100), "as many scans as are allowed")
    add("jpeg_101_scans.jpg", "unreadable", 0, 0, many_scans(101), "one more")
    add("jpeg_scan_bomb.jpg", "unreadable", 0, 0, many_scans(2600), "2600 scans")
    add("jpeg_repeated_scan.jpg", "unreadable", 0, 0, prog[:-2] + prog[prog.rindex(b"\xff\xda"):],
        "the last scan twice: coefficients are refined beyond their last bit")


def pngs(add):
    im = photo()
    plain = encode(im, "PNG")
    add("png_plain.png", "ok", 48, 32, plain, "8-bit RGB")
    add("png_grey.png", "ok", 48, 32, encode(im.convert("L"), "PNG"), "8-bit grey")
    add("png_1bit.png", "ok", 48, 32, encode(im.convert("1"), "PNG"), "1-bit grey")
    add("png_palette.png", "ok", 48, 32, encode(im.quantize(16), "PNG"), "palette")
    clear = im.quantize(16)
    add("png_palette_clear.png", "ok", 48, 32, encode(clear, "PNG", transparency=0), "palette with a clear entry")
    add("png_alpha.png", "ok", 48, 32, encode(alpha_photo(), "PNG"), "RGBA: on white")
    add("png_grey_alpha.png", "ok", 48, 32, encode(alpha_photo().convert("LA"), "PNG"), "grey and alpha")
    add("png_16bit.png", "ok", 48, 32, png16(), "16-bit RGB")
    rows = b"".join(b"\0" + b"".join(struct.pack(">HH", x * 1300, 65535 if x < 24 else 0) for x in range(48))
                    for _ in range(32))
    add("png_16bit_grey_alpha.png", "ok", 48, 32, png(48, 32, 16, 4, rows), "16-bit grey and alpha")
    add("png_exif6.png", "ok", 32, 48, plain[:33] + chunk(b"eXIf", tiff_orientation(6)) + plain[33:], "orientation 6")
    add("png_exif_late.png", "ok", 32, 48, plain[:-12] + chunk(b"eXIf", tiff_orientation(8)) + plain[-12:],
        "orientation 8, behind the pixels")
    add("png_exif_2gb.png", "unreadable", 0, 0, plain[:33] + struct.pack(">I", 0x7E00001A) + b"eXIf" + plain[33:],
        "2 GB of EXIF in the header")
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"\0" * 20000000, 9))
    add("png_text_bomb.png", "ok", 48, 32, plain[:33] + bomb + plain[33:], "20 MB of text, compressed: skipped")
    icc = chunk(b"iCCP", b"x\0\0" + zlib.compress(b"\0" * 20000000, 9))
    add("png_icc_bomb.png", "ok", 48, 32, plain[:33] + icc + plain[33:], "20 MB of profile: skipped")
    add("png_cut.png", "unreadable", 0, 0, plain[:len(plain) // 2], "cut in the middle")
    add("png_no_iend.png", "unreadable", 0, 0, plain[:-12], "no end chunk")
    bad = bytearray(plain)
    bad[len(bad) // 2] ^= 0xFF
    add("png_bad_crc.png", "unreadable", 0, 0, bytes(bad), "a changed byte")
    add("png_short_rows.png", "unreadable", 0, 0, png(48, 32, 8, 2, b"\0" * 1000), "fewer rows than stated")
    add("png_huge.png", "unreadable", 0, 0, png(100000, 100000, 8, 2, b"\0"), "10 gigapixels in the header")
    add("png_max_size.png", "unreadable", 0, 0, png(0x7FFFFFFF, 0x7FFFFFFF, 16, 6, b"\0"), "largest size there is")
    add("png_zero.png", "unreadable", 0, 0, png(0, 32, 8, 2, b"\0"), "width 0")
    add("png_no_palette.png", "unreadable", 0, 0, png(48, 32, 8, 3, b"\0" * 49 * 32), "palette missing")
    add("png_magic_only.png", "unreadable", 0, 0, plain[:8], "eight bytes")


def alpha_photo():
    im = photo(mode="RGBA")
    im.putalpha(Image.frombytes("L", (48, 32), bytes(x * 255 // 47 for _ in range(32) for x in range(48))))
    return im


def webps(add):
    im = photo()
    lossy, lossless = encode(im, "WEBP", quality=90), encode(im, "WEBP", lossless=True)
    add("webp_lossy.webp", "ok", 48, 32, lossy, "lossy")
    add("webp_lossless.webp", "ok", 48, 32, lossless, "lossless")
    add("webp_alpha.webp", "ok", 48, 32, encode(alpha_photo(), "WEBP", lossless=True), "alpha: on white")
    add("webp_exif8.webp", "ok", 32, 48, webp_with_exif(lossless, 48, 32, tiff_orientation(8)), "orientation 8")
    add("webp_exif3.webp", "ok", 48, 32, webp_with_exif(lossy, 48, 32, b"Exif\0\0" + tiff_orientation(3, True)),
        "orientation 3, with the JPEG prefix")
    frames = [im, im.transpose(Image.ROTATE_180)]
    add("webp_animated.webp", "unsupported", 0, 0,
        encode(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True), "animation")
    add("webp_cut.webp", "unreadable", 0, 0, lossy[:len(lossy) // 2], "cut in the middle")
    add("webp_magic_only.webp", "unreadable", 0, 0, lossy[:12], "twelve bytes")
    huge = bytearray(lossless)
    huge[21:25] = struct.pack("<I", (16383) | (16383 << 14))
    add("webp_huge.webp", "unreadable", 0, 0, bytes(huge), "268 MPix in the header")


def bmps(add):
    w, h = 6, 4
    row24 = [bytes(v for x in range(w) for v in (40, y * 80, x * 50)) + b"\0\0" for y in range(h)]
    up, down = b"".join(reversed(row24)), b"".join(row24)
    grey = b"".join(struct.pack("BBBB", i, i, i, 0) for i in range(256))
    add("bmp_24.bmp", "ok", w, h, bmp(w, h, 24, up), "24 bits, bottom row first")
    add("bmp_24_top_down.bmp", "ok", w, h, bmp(w, -h, 24, down), "24 bits, top row first")
    add("bmp_32.bmp", "ok", w, h, bmp(w, h, 32, bytes(range(w * h * 4))), "32 bits")
    add("bmp_8.bmp", "ok", w, h, bmp(w, h, 8, bytes(range(8 * h)), palette=grey), "palette of 256")
    add("bmp_4.bmp", "ok", w, h, bmp(w, h, 4, bytes(range(4 * h)), palette=grey[:64]), "palette of 16")
    add("bmp_1.bmp", "ok", w, h, bmp(w, h, 1, b"\xa8\0\0\0" * h, palette=grey[:4] + grey[-4:]), "two colours")
    add("bmp_16.bmp", "ok", w, h, bmp(w, h, 16, bytes(range(12 * h))), "5-5-5")
    masks = struct.pack("<III", 0xF800, 0x07E0, 0x001F)
    add("bmp_565.bmp", "ok", w, h, bmp(w, h, 16, bytes(range(12 * h)), 3, masks), "5-6-5")
    add("bmp_os2.bmp", "ok", w, h, b"BM" + struct.pack("<IHHIIHHHH", 26 + len(up), 0, 0, 26, 12, w, h, 1, 24) + up,
        "12-byte header")
    add("bmp_pil.bmp", "ok", 48, 32, encode(photo(), "BMP"), "as PIL writes it")
    add("bmp_short_palette.bmp", "ok", w, h, bmp(w, h, 8, bytes(range(8 * h)), palette=grey[:16]), "index too large")
    cut = bytearray(bmp(w, h, 8, bytes([0, 3, 4, 255, 0, 0, 0, 0]) * h, palette=grey[4:20]))
    cut[46:50] = bytes(4)
    add("bmp_cut_palette.bmp", "ok", w, h, bytes(cut), "256 colours stated, room for 4, index 255 used")
    add("bmp_cut.bmp", "unreadable", 0, 0, bmp(w, h, 24, up)[:-10], "last row is missing")
    add("bmp_rle.bmp", "unsupported", 0, 0, bmp(w, h, 8, b"\6\1\0\1", 1, palette=grey), "run-length coded")
    add("bmp_huge.bmp", "unreadable", 0, 0, bmp(0x7FFFFFFF, 0x7FFFFFFF, 32, b"\0" * 64), "largest size there is")
    add("bmp_min_height.bmp", "unreadable", 0, 0, bmp(4, -0x80000000, 24, b"\0" * 64), "height with no positive twin")
    add("bmp_offset.bmp", "unreadable", 0, 0, bmp(w, h, 24, up, offset=0xFFFFFFF0), "pixels beyond the file")
    add("bmp_planes.bmp", "unreadable", 0, 0, bmp(w, h, 24, up, planes=7), "seven planes")
    add("bmp_bad_mask.bmp", "unreadable", 0, 0,
        bmp(w, h, 16, bytes(12 * h), 3, struct.pack("<III", 0x5555, 0, 0xFFFF0000)), "masks with holes")


def others(add):
    add("empty.jpg", "unsupported", 0, 0, b"", "0 bytes")
    add("one_byte.jpg", "unsupported", 0, 0, b"\xff", "1 byte")
    add("zeros.jpg", "unsupported", 0, 0, b"\0" * 4096, "only zeros")
    add("text.jpg", "unsupported", 0, 0, b"this is not a picture\n", "text")
    add("page.jpg", "unsupported", 0, 0, b"<!DOCTYPE html><html><body>403</body></html>", "an error page")
    add("gif.jpg", "unsupported", 0, 0, encode(photo().quantize(16), "GIF"), "GIF under a JPEG's name")
    add("tiff.png", "unsupported", 0, 0, encode(photo(), "TIFF"), "TIFF under a PNG's name")
    add("png_named.jpg", "ok", 48, 32, encode(photo(), "PNG"), "PNG under a JPEG's name")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder, rows = sys.argv[1], []
    os.makedirs(folder, exist_ok=True)

    def add(name, status, w, h, data, text):
        with open(os.path.join(folder, name), "wb") as f:
            f.write(data)
        rows.append(f"{name}\t{status}\t{w}\t{h}\t{text}\n")

    for part in (jpegs, pngs, webps, bmps, others):
        part(add)
    with open(os.path.join(folder, "expected.tsv"), "w", encoding="utf-8") as f:
        f.writelines(rows)


if __name__ == "__main__":
    main()
