//! Selection of the people for whom a row function is executed, out of all with rows in the driver's memory.

use std::ops::Range;

/// Rows of a person in the driver's memory.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) rows: Range<usize>,
    /// Whether they were executed, and none trapped.
    pub(super) done: bool,
}

impl Share {
    pub(super) fn of(rows: Range<usize>) -> Self {
        Self { rows, done: false }
    }
}

/// Executes the rows of all people marked `done`, by `run`.
///
/// If a row traps, `run` returns it, and the person is no longer `done`.
///
/// No row is executed twice, and none that is not paid for: one person's rows must not take the time of others.
pub(super) fn execute(people: &mut [Share], mut run: impl FnMut(Range<usize>) -> Result<(), usize>) {
    let mut next = 0;
    while let Some(first) = people[next..].iter().position(|person| person.done).map(|more| next + more) {
        let last = people[first..].iter().position(|person| !person.done).map_or(people.len(), |more| first + more);
        next = last;
        if let Err(row) = run(people[first].rows.start..people[last - 1].rows.end) {
            let who = people[..last].partition_point(|person| person.rows.end <= row).clamp(first, last - 1);
            people[who].done = false;
            next = who + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row of who pays and does not trap is executed once, the others at most once, and those of who does not pay never.
    #[test]
    fn no_row_is_executed_twice_nor_unpaid() {
        let mut random = 0x2545_f491_4f6c_dd1du64;
        let mut below = move |n: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % n
        };
        for _ in 0..2000 {
            let (mut people, mut at, mut traps) = (vec![], 0, vec![]);
            for _ in 0..below(12) {
                let rows = at..at + 1 + below(4) as usize;
                at = rows.end;
                traps.extend(rows.clone().map(|_| below(6) == 0));
                people.push(Share { rows, done: below(4) > 0 });
            }
            let paid: Vec<bool> = people.iter().map(|person| person.done).collect();
            let mut times = vec![0; at];
            execute(&mut people, |rows| {
                let until = rows.clone().find(|row| traps[*row]);
                (rows.start..until.map_or(rows.end, |row| row + 1)).for_each(|row| times[row] += 1);
                until.map_or(Ok(()), Err)
            });
            for (person, paid) in people.iter().zip(paid) {
                let (times, traps) = (&times[person.rows.clone()], &traps[person.rows.clone()]);
                assert_eq!(person.done, paid && !traps.contains(&true), "{person:?}");
                let expected = if person.done { 1..=1 } else { 0..=i32::from(paid) };
                assert!(times.iter().all(|times| expected.contains(times)), "{person:?}: {times:?}");
            }
        }
    }
}
