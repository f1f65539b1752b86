// A text feature: in which part of a person's rows the first column, a text, has a word; and how many words its texts have on average.
//
// Parameters: the word.
import { Column, Rows, contribution, log, params } from "../tidegate";
export { cabi_realloc } from "../tidegate";

export function contribute(length: i32, columns: usize, count: i32): usize {
  const rows = new Rows(length, columns, count), word = params().toLowerCase();
  if (rows.columns < 1) return contribution([]);
  const text: Column = rows.column(0);
  let seen: f64 = 0, found: f64 = 0, words: f64 = 0;
  for (let row = 0; row < rows.length; row++) {
    if (!text.has(row)) continue;
    const all = text.text(row).toLowerCase().split(" ");
    seen += 1;
    words += <f64>all.length;
    if (all.includes(word)) found += 1;
  }
  if (seen == 0) log("no text");
  return contribution(seen > 0 ? [found / seen, words / seen] : [0, 0]);
}
