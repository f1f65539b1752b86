/** The mean of the first column over these rows, and how many rows had it. */
export function contribute(rows) {
  const column = rows.columns[0];
  const values = [];
  for (let row = 0; row < rows.len; row++) {
    const there = column.valid.length === 0 || column.valid[row];
    // f64s, s64s (BigInt), bools, texts or bytes.
    if (there && !["texts", "bytes"].includes(column.values.tag)) values.push(Number(column.values.val[row]));
  }
  console.log(`${values.length} rows`);
  return [values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length), values.length];
}
