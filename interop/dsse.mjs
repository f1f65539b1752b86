// Every receipt with @sigstore/core's DSSE encoding and signature check.
import { readFileSync, readdirSync } from "node:fs";
import { createPublicKey } from "node:crypto";
import core from "@sigstore/core";

const folder = process.argv[2];
const material = Buffer.from(readFileSync(`${folder}/owner.vkey`, "utf8").trim().split("+").slice(2).join("+"), "base64");
// SubjectPublicKeyInfo of an ed25519 key (RFC 8410).
const key = createPublicKey({ key: Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), material.subarray(1)]), format: "der", type: "spki" });
const holds = (envelope) => {
  const message = core.dsse.preAuthEncoding(envelope.payloadType, Buffer.from(envelope.payload, "base64"));
  return core.crypto.verify(message, key, Buffer.from(envelope.signatures[0].sig, "base64"));
};
const flip = (text, at) => {
  const raw = Buffer.from(text, "base64");
  raw[at] ^= 1;
  return raw.toString("base64");
};
let accepted = 0, rejected = 0;
for (const name of readdirSync(`${folder}/receipts`).filter((name) => name.endsWith(".dsse.json"))) {
  const text = readFileSync(`${folder}/receipts/${name}`, "utf8");
  if (!holds(JSON.parse(text))) throw new Error(`${name} was rejected`);
  accepted += 1;
  const payload = JSON.parse(text), sig = JSON.parse(text), type = JSON.parse(text);
  payload.payload = flip(payload.payload, 100);
  sig.signatures[0].sig = flip(sig.signatures[0].sig, 3);
  type.payloadType = "text/plain";
  for (const bad of [payload, sig, type]) {
    if (holds(bad)) throw new Error(`${name} was tampered with and accepted`);
    rejected += 1;
  }
}
if (accepted === 0) throw new Error("no receipts");
console.log(`${accepted} receipts accepted, ${rejected} tampered ones rejected`);
