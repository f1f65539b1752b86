"""What the checks share: the files of a folder, the key in a did:key, ways to tamper."""
import base64, json, pathlib, struct

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def key_of(did):
    """The 32 bytes of an ed25519 key (did:key method: multibase z, multicodec 0xed01)."""
    assert did.startswith("did:key:z")
    number = 0
    for c in did[len("did:key:z"):]:
        number = number * 58 + ALPHABET.index(c)
    raw = number.to_bytes(34, "big")
    assert raw[:2] == b"\xed\x01"
    return raw[2:]


def owner(folder):
    """The owner's key, out of its verifier key."""
    name, _, material = (pathlib.Path(folder) / "owner.vkey").read_text().strip().split("+", 2)
    raw = base64.b64decode(material)
    assert raw[0] == 1 and key_of(name.rsplit("/", 1)[1]) == raw[1:]
    return raw[1:]


def entries(folder):
    """All entries of the log, read from its bundles."""
    found = []
    for bundle in sorted((pathlib.Path(folder) / "log/tile/entries").rglob("*")):
        if bundle.is_file():
            data, of_bundle = bundle.read_bytes(), []
            while data:
                (length,) = struct.unpack(">H", data[:2])
                of_bundle.append(data[2:2 + length])
                data = data[2 + length:]
            # A bundle may lie there in several widths: the longest has them all.
            found = found if len(of_bundle) <= len(found) else of_bundle
    assert found, "no entries"
    return found


def receipts(folder):
    return sorted((pathlib.Path(folder) / "receipts").glob("*.dsse.json"))


def tampered(envelope):
    """The envelope with a byte of its payload, its signature, its type or its signer changed."""
    def flip(text, at):
        raw = bytearray(base64.b64decode(text))
        raw[at] ^= 1
        return base64.b64encode(bytes(raw)).decode()
    text = json.dumps(envelope)
    for change in ("payload", "sig", "type"):
        bad = json.loads(text)
        if change == "payload":
            bad["payload"] = flip(bad["payload"], len(bad["payload"]) // 3)
        elif change == "sig":
            bad["signatures"][0]["sig"] = flip(bad["signatures"][0]["sig"], 5)
        else:
            bad["payloadType"] = "text/plain"
        yield change, bad
