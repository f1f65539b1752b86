"""Every entry and receipt with securesystemslib's DSSE."""
import json, sys
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey
from common import entries, owner, receipts, tampered

folder = sys.argv[1]
raw = owner(folder)


def holds(data):
    # It takes its argument apart.
    envelope = Envelope.from_dict(json.loads(json.dumps(data)))
    keyid = data["signatures"][0]["keyid"]
    key = SSlibKey(keyid, "ed25519", "ed25519", {"public": raw.hex()})
    try:
        return bool(envelope.verify([key], 1))
    except Exception:
        return False


good = [json.loads(entry) for entry in entries(folder)] + [json.loads(path.read_bytes()) for path in receipts(folder)]
rejected = 0
for data in good:
    assert holds(data), data
    for what, bad in tampered(data):
        assert not holds(bad), f"{what} was changed and it was accepted"
        rejected += 1
print(f"{len(good)} envelopes accepted, {rejected} tampered ones rejected")
