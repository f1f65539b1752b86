// The canonical ABI of world tidegate:job for AssemblyScript. See ../wit/job.wit.

// @ts-ignore: decorator
@external("tidegate:job/host@0.1.0", "params")
declare function hostParams(into: usize): void;
// @ts-ignore: decorator
@external("tidegate:job/host@0.1.0", "data-len")
declare function hostDataLen(): u64;
// @ts-ignore: decorator
@external("tidegate:job/host@0.1.0", "data")
declare function hostData(offset: u64, length: u32, into: usize): void;
// @ts-ignore: decorator
@external("tidegate:job/host@0.1.0", "log")
declare function hostLog(text: usize, length: u32): void;

export const enum Kind { F64s, S64s, Bools, Texts, Bytes }

/** One column: typed values and which of them are there. */
export class Column {
  constructor(private at: usize) {}
  get name(): string { return String.UTF8.decodeUnsafe(load<u32>(this.at), load<u32>(this.at, 4)); }
  get kind(): Kind { return load<u8>(this.at, 8); }
  get length(): i32 { return load<u32>(this.at, 16); }
  /** Whether the value in `row` is there. */
  has(row: i32): bool {
    return row < this.length && (load<u32>(this.at, 24) == 0 || load<u8>(<usize>load<u32>(this.at, 20) + row) != 0);
  }
  /** As a number: flags are 0 and 1. NaN where it is missing, a text or bytes. */
  number(row: i32): f64 {
    if (!this.has(row)) return NaN;
    const list = <usize>load<u32>(this.at, 12);
    switch (this.kind) {
      case Kind.F64s: return load<f64>(list + 8 * row);
      case Kind.S64s: return <f64>load<i64>(list + 8 * row);
      case Kind.Bools: return <f64>load<u8>(list + row);
      default: return NaN;
    }
  }
  /** As a text; "" where it is missing or none. */
  text(row: i32): string {
    if (!this.has(row) || this.kind != Kind.Texts) return "";
    const one = <usize>load<u32>(this.at, 12) + 8 * row;
    return String.UTF8.decodeUnsafe(load<u32>(one), load<u32>(one, 4));
  }
}

/** The rows of one privacy unit, or of one block of units. */
export class Rows {
  constructor(public length: i32, private at: usize, private count: i32) {}
  get columns(): i32 { return this.count; }
  column(i: i32): Column { return new Column(this.at + 28 * i); }
}

/** The parameters that were signed with the job, as text. */
export function params(): string {
  const into = heap.alloc(8);
  hostParams(into);
  return String.UTF8.decodeUnsafe(load<u32>(into), load<u32>(into, 4));
}

/** How many bytes came with the program: the weights of a model. */
export function dataLength(): u64 { return hostDataLen(); }

/** Some of those bytes, as numbers of 64 bits. */
export function numbers(offset: u64, length: u32): StaticArray<f64> {
  const into = heap.alloc(8);
  hostData(offset, 8 * length, into);
  const from = <usize>load<u32>(into), found = load<u32>(into, 4) / 8;
  const values = new StaticArray<f64>(found);
  memory.copy(changetype<usize>(values), from, 8 * found);
  return values;
}

/** A line for the author, shown in rehearsal. */
export function log(text: string): void {
  const bytes = String.UTF8.encode(text);
  hostLog(changetype<usize>(bytes), bytes.byteLength);
}

/** What `contribute` must return: where the numbers are. */
export function contribution(numbers: f64[]): usize {
  const result = heap.alloc(8);
  store<u32>(result, <u32>numbers.dataStart);
  store<u32>(result, numbers.length, 4);
  return result;
}

/** An instance lives for one call: nothing is ever freed. */
export function cabi_realloc(old: usize, oldSize: u32, align: u32, size: u32): usize {
  const to = heap.alloc(size);
  memory.copy(to, old, min(oldSize, size));
  return to;
}
