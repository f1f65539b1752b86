"""The whole log, its checkpoint with cosignatures, and every receipt's proof, with aics-tlog."""
import base64, hashlib, pathlib, shutil, sys, tempfile
from aics_tlog.checkpoint import checkpoint_from_note, verify_checkpoint
from aics_tlog.note import parse_vkey
from aics_tlog.tiles import FileSystemTileReader
from aics_tlog.tree import verify_inclusion
from aics_tlog.verified import audit_tiles
from common import receipts

folder = pathlib.Path(sys.argv[1])
owner = parse_vkey((folder / "owner.vkey").read_text().strip())
witnesses = [parse_vkey(path.read_text().strip()) for path in folder.glob("witness.vkey")]


def head(note, quorum=0):
    """Size and root that a checkpoint's signatures hold for."""
    checkpoint, note = checkpoint_from_note(note)
    checked = verify_checkpoint(note, owner, witnesses, quorum, expected_origin=owner.name)
    if not checked.ok:
        raise ValueError(checked.error)
    return checkpoint.size, checkpoint.root


def log(folder):
    size, root = head((folder / "checkpoint").read_bytes(), len(witnesses))
    return audit_tiles(FileSystemTileReader(folder), size, root)


def receipt(entry, proof):
    lines, _, note = proof.partition("\n\n")
    first, index, *path = lines.split("\n")
    assert first == "c2sp.org/tlog-proof@v1"
    size, root = head(note)
    leaf = hashlib.sha256(b"\0" + entry).digest()
    if not verify_inclusion(leaf, int(index.removeprefix("index ")), size, [base64.b64decode(h) for h in path], root):
        raise ValueError("not in the log")


def rejects(check, *args):
    try:
        check(*args)
    except Exception:
        return 1
    raise SystemExit(f"{check.__name__}: tampered with and accepted")


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


report = log(folder / "log")
proofs, rejected = 0, 0
for path in receipts(folder):
    entry, proof = path.read_bytes(), path.with_name(path.name.replace(".dsse.json", ".tlog-proof")).read_text()
    receipt(entry, proof)
    proofs += 1
    rejected += rejects(receipt, flipped(entry, len(entry) // 2), proof)
    lines = proof.split("\n")
    for index in (1, 2):
        other = lines.copy()
        other[index] = "index 0" if index == 1 else base64.b64encode(bytes(32)).decode()
        rejected += rejects(receipt, entry, "\n".join(other))
with tempfile.TemporaryDirectory() as copy:
    copy = pathlib.Path(copy) / "log"
    shutil.copytree(folder / "log", copy)
    # A shorter part of a tile that others stand for is not looked at.
    for file in sorted(path for path in copy.rglob("*") if path.is_file()):
        widths = [int(path.name) for path in file.parent.iterdir() if file.parent.name.endswith(".p")]
        if widths and int(file.name) < max(widths):
            continue
        good = file.read_bytes()
        for at in {0, len(good) // 2, len(good) - 1}:
            file.write_bytes(flipped(good, at))
            rejected += rejects(log, copy)
        file.write_bytes(good)
    log(copy)
print(f"{report.size} entries in {report.bundles} bundles and {report.tiles} tiles, {proofs} proofs accepted; {rejected} tampered with and rejected")
