"""Every payload as an in-toto Statement v1 by in-toto's own package, and by the published schema; results against their receipts."""
import base64, hashlib, json, pathlib, sys
from google.protobuf import json_format
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as Message
import jsonschema
from common import entries, receipts

folder = pathlib.Path(sys.argv[1])
schema = json.loads((pathlib.Path(__file__).resolve().parent.parent / "docs/receipts.schema.json").read_text())
validator = jsonschema.Draft202012Validator(schema)


def statement(payload):
    message = json_format.Parse(payload, Message())
    made = Statement.copy_from_pb(message)
    made.validate()
    validator.validate(json.loads(payload))
    return made


def fails(payload):
    try:
        statement(payload)
    except Exception:
        return True
    return False


payloads = [base64.b64decode(json.loads(entry)["payload"]) for entry in entries(folder)]
for payload in payloads:
    statement(payload)
    for bad in (payload.replace(b"in-toto.io/Statement/v1", b"in-toto.io/Statement/v0"), payload.replace(b"/v1\",\"subject", b"/v2\",\"subject"),
                payload.replace(b"\"sha256\"", b"\"\""), payload.replace(b"\"subject\":[", b"\"subject\":[],\"x\":[")):
        assert bad != payload and fails(bad), bad
for path in receipts(folder):
    said = statement(base64.b64decode(json.loads(path.read_bytes())["payload"]))
    name = path.name.removesuffix(".dsse.json")
    result = (folder / f"results/{name}.json").read_bytes()
    assert dict(said.pb.subject[0].digest) == {"sha256": hashlib.sha256(result).hexdigest()}, name
print(f"{len(payloads)} statements accepted, {4 * len(payloads)} tampered ones rejected, {len(receipts(folder))} results are their receipts'")
