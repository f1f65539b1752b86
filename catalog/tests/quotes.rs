//! Quotes that one person's lines leave open: whatever stands in them, the others' rows are what they are without these lines, or nothing is read.

use crate::neighbours::{Dice, both, read, read_but};

const COLUMNS: [&str; 3] = ["t", "u", "v"];

fn texts(columns: &[&str]) -> String {
    let named: Vec<_> = columns.iter().map(|name| format!("{name} = {{}}")).collect();
    format!("read = {{ text = {columns:?} }}\n        columns = {{ {} }}", named.join(", "))
}

/// Lines of person 9 (`@`) between which others' are swallowed, which they are not without.
#[test]
fn a_quote_swallows_no_line_of_another() {
    for (text, line) in [
        // Another's text is a delimiter, and closes the quote.
        ("person,t,u\n1,a,a\n@9,\"b,c\n2,\",\",d\n@9,x,c\"\n3,c,e\n", 4),
        // The line that closes it is another's.
        ("person,t,u\n1,1,a\n@9,1,\"b\n2,2,5'11\"\n3,3,c\n", 4),
        ("person,t,u\n1,a,1\n@9,\"b,1\n2,5'11\",2\n3,c,3\n", 4),
        ("person,t,u\n1,a,1\n@9,1,\"b\n2,2,\"\n", 4),
        ("person,t,u\n1,a,1\n@9,1,\"b\n2,2,\"", 4),
        ("person,t,u\r\n1,a,1\r\n@9,1,\"b\r\n2,\"\",2\"\r\n", 4),
        // In the midst of a line of another's that goes on over two.
        ("person,t,u\n1,a,1\n@9,\"b\n2,\",\n\",d\n@9\",x,y\n", 4),
    ] {
        let more = texts(&["t", "u"]);
        let (with, without) = both(text);
        let said = read(&[("a.csv", with.as_bytes())], &more);
        let said =
            said.err().unwrap_or_else(|| panic!("{with:?} is read as {:?}", read(&[("a.csv", without.as_bytes())], &more)));
        assert!(
            said.contains(&format!("spans a line ({line})")) && said.contains("[read]: multiline = true"),
            "{with:?}: {said}"
        );
    }
}

/// Texts of other people, as programs write them.
const VALUES: [&str; 18] = [
    "a",
    "b c",
    "d",
    "e f",
    "g",
    "h",
    "he said \"hi\"",
    "x, y",
    "two\nlines",
    "\nlead",
    "trail\n",
    "\"q\"",
    ",",
    "5\"",
    "",
    "a\n,b",
    "\",\"",
    "\n",
];
/// What one person's lines are made of.
const PIECES: [&str; 16] =
    ["a", "i", "j", "\"b", "c\"", "\"d\"", "\"", "\"\"", "", "\"e,", "f\"g", "\"h\"\"", "x\n", "\"\n", "\n\"", "#"];

fn written(value: &str) -> String {
    if value.contains([',', '"', '\n']) { format!("\"{}\"", value.replace('"', "\"\"")) } else { value.to_owned() }
}

/// Whatever lines of one person stand between those of others, and whoever goes, the rest is read as it was.
#[test]
fn whoevers_lines_go_the_others_rows_are_what_they_were() {
    let mut dice = Dice(7);
    let (mut refused, mut taken, mut wrong) = (0, 0, Vec::new());
    for round in 0..500 {
        let columns = &COLUMNS[..1 + dice.below(3)];
        let more = texts(columns);
        // Each record, and whose it is.
        let mut records: Vec<(usize, String)> = Vec::new();
        for person in 1..=2 + dice.below(4) {
            let values: Vec<_> = columns.iter().map(|_| written(dice.of(&VALUES))).collect();
            records.push((person, format!("{person},{}\n", values.join(","))));
        }
        // Now and then another's line is wrong by itself, and is so beside whatever others.
        if dice.below(8) == 0 {
            let mut values: Vec<_> = columns.iter().map(|_| dice.of(&["a", "5'11\""])).collect();
            if dice.below(3) == 0 {
                values.pop();
                values.push("\"");
            }
            records.insert(dice.below(records.len() + 1), (8, format!("8,{}\n", values.join(","))));
        }
        for _ in 0..1 + dice.below(2) {
            let pieces: Vec<_> = columns.iter().map(|_| dice.of(&PIECES)).collect();
            records.insert(dice.below(records.len() + 1), (9, format!("9,{}\n", pieces.join(","))));
        }
        let of = |records: &[&(usize, String)], who: usize| {
            let head = format!("person,{}\n", columns.join(","));
            let text: String = std::iter::once(head).chain(records.iter().map(|(_, line)| line.clone())).collect();
            read_but(&[("a.csv", text.as_bytes())], &more, &who.to_string())
        };
        let all: Vec<_> = records.iter().collect();
        if of(&all, 0).is_err() {
            refused += 1;
            continue;
        }
        taken += 1;
        let mut people: Vec<_> = records.iter().map(|(person, _)| *person).collect();
        people.sort_unstable();
        people.dedup();
        for who in people {
            let rest: Vec<_> = records.iter().filter(|(person, _)| *person != who).collect();
            let (with, without) = (of(&all, who), of(&rest, who));
            if with != without {
                wrong.push(format!("round {round}: {records:?} without {who}: {with:?} for {without:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(refused > 100 && taken > 40, "{refused} were refused, {taken} taken");
}
