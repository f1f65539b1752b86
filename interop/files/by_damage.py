"""Files with flipped bits, files that are cut, and small ones that unpack to gigabytes: an error, or rows; never a panic, never a signal."""
import bz2, gzip, lzma, random, zipfile

import zstandard

from checks import fail, folder, publish, refused

GOOD = ("pa-zstd-2.6.parquet", "polars-lz4-newest.arrow", "polars-stream.arrows", "pandas.feather", "packed.csv.gz", "packed.csv.bz2", "packed.csv.xz", "packed.csv.zst",
        "utf-16.csv", "records.json", "openpyxl.xlsx", "fastparquet-SNAPPY-int96.parquet")


def write():
    draw = random.Random(7)
    for name in GOOD:
        good = (folder / name).read_bytes()
        for i in range(40):
            bad = bytearray(good)
            if i % 4 == 0:
                bad = bad[: draw.randrange(len(bad))]
            else:
                # Where sizes stand: at the ends.
                at = draw.choice((draw.randrange(min(len(bad), 600)), len(bad) - 1 - draw.randrange(min(len(bad), 1500)), draw.randrange(len(bad))))
                bad[at] ^= 1 << draw.randrange(8)
            path = folder / f"damaged-{i}-{name}"
            path.write_bytes(bad)
            done = publish(path, ["n"] if not name.startswith("pa-") else ["i64"])
            path.unlink()
            if done.returncode not in (0, 1, 2) or "panicked" in done.stderr:
                fail(f"damaged {name} {i}", f"{done.returncode} {done.stderr[-300:]}")
    bombs()
    return "damage"


def bombs():
    zstd = zstandard.ZstdCompressor()
    for ending, pack in (("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress), ("zst", zstd.compress)):
        kinds = [("line", b"1" * (1 << 24), ("64 MiB",))]
        if ending == "zst":
            # One rule for all of them, and this the quickest to unpack.
            kinds.append(("rows", (b"1,1," + b"x" * (1 << 20) + b"\n") * 16, ("200 times", "1 GiB")))
        for kind, more, words in kinds:
            path = folder / f"bomb-{kind}.csv.{ending}"
            # Packed parts one after the other are packed too: a little more than a GiB.
            path.write_bytes(pack(b"person,n,t\n") + pack(more) * 65)
            refused(path.name, path, *words)
            path.unlink()
    workbooks()


def workbooks():
    sheet = b"<row><c t=\"inlineStr\"><is><t>" + b"x" * (1 << 24) + b"</t></is></c></row>"
    for kind, part in (("sheet", "xl/worksheets/sheet1.xml"), ("texts", "xl/sharedStrings.xml")):
        path = folder / f"bomb-{kind}.xlsx"
        with zipfile.ZipFile(folder / "xlsxwriter-False-False.xlsx") as good, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bad:
            for entry in good.namelist():
                text = good.read(entry)
                if entry == part:
                    with bad.open(entry, "w", force_zip64=True) as out:
                        for _ in range(65):
                            out.write(sheet)
                else:
                    bad.writestr(entry, text)
        refused(path.name, path, "1 GiB")
        path.unlink()
    path = folder / "claim.xlsx"
    with zipfile.ZipFile(folder / "xlsxwriter-False-False.xlsx") as good, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bad:
        for entry in good.namelist():
            bad.writestr(entry, good.read(entry).replace(b'uniqueCount="', b'uniqueCount="9999999999999'))
    refused(path.name, path, "more texts")
