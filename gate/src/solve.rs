//! Exact linear algebra over 0/1 columns: finds which of them are sums of others.
//!
//! The elimination is modulo a prime, and its answer is accepted only if whole numbers confirm it: a sum that is found is a true
//! sum. If an existing sum is not found, more is suppressed than necessary.

/// 2³¹ − 1.
const PRIME: u64 = (1 << 31) - 1;

/// Largest denominator of possible answers.
const LARGEST_DENOMINATOR: u64 = 720;

/// Relation of a column to the preceding columns.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Column {
    /// Not a sum of multiples of them.
    New,
    /// A sum of multiples of these columns.
    Sum(Vec<usize>),
    /// Possibly a sum.
    Unsure,
}

/// Relates each column from `first` on to the preceding columns.
///
/// A column is the list of its rows that are 1, of `rows` rows; sums use the earliest columns possible, so they take none from
/// `first` on where those before are enough.
pub(crate) fn sums(rows: usize, columns: &[&[usize]], first: usize) -> Vec<Column> {
    let mut matrix = vec![vec![0u32; columns.len()]; rows];
    for (j, column) in columns.iter().enumerate() {
        column.iter().for_each(|row| matrix[*row][j] = 1);
    }
    let pivots = reduce(&mut matrix, columns.len());
    let one = |j: usize| {
        if pivots.binary_search(&j).is_ok() {
            return Column::New;
        }
        let parts = pivots.iter().zip(&matrix).map(|(pivot, row)| (*pivot, u64::from(row[j]))).filter(|(_, by)| *by != 0);
        let parts: Vec<(usize, u64)> = parts.collect();
        if confirmed(rows, columns, j, &parts) {
            Column::Sum(parts.into_iter().map(|(pivot, _)| pivot).collect())
        } else {
            Column::Unsure
        }
    };
    (first..columns.len()).map(one).collect()
}

/// Brings `matrix` into reduced echelon form and returns the columns with a row's leading 1, ascending.
fn reduce(matrix: &mut [Vec<u32>], columns: usize) -> Vec<usize> {
    let mut pivots = Vec::new();
    for column in 0..columns {
        let from = pivots.len();
        let Some(at) = (from..matrix.len()).find(|row| matrix[*row][column] != 0) else { continue };
        matrix.swap(from, at);
        let by = inverse(u64::from(matrix[from][column]));
        matrix[from][column..].iter_mut().for_each(|v| *v = (u64::from(*v) * by % PRIME) as u32);
        let pivot = matrix[from][column..].to_vec();
        for row in matrix.iter_mut().enumerate().filter(|(row, _)| *row != from).map(|(_, row)| &mut row[column..]) {
            let less = PRIME - u64::from(row[0]);
            if less != PRIME {
                row.iter_mut().zip(&pivot).for_each(|(v, p)| *v = ((u64::from(*v) + less * u64::from(*p)) % PRIME) as u32);
            }
        }
        pivots.push(column);
    }
    pivots
}

/// Computes the inverse by Fermat: x^(p − 2).
fn inverse(x: u64) -> u64 {
    let (mut power, mut base, mut exponent) = (1, x, PRIME - 2);
    while exponent > 0 {
        if exponent & 1 == 1 {
            power = power * base % PRIME;
        }
        base = base * base % PRIME;
        exponent >>= 1;
    }
    power
}

/// Returns whether column `j` is the sum of these parts in whole numbers too, multiplied by a small denominator.
fn confirmed(rows: usize, columns: &[&[usize]], j: usize, parts: &[(usize, u64)]) -> bool {
    let whole = |by: u64| if by > PRIME / 2 { by as i64 - PRIME as i64 } else { by as i64 };
    (1..=LARGEST_DENOMINATOR).any(|denominator| {
        let times = |by: u64| whole(by * denominator % PRIME);
        if parts.iter().any(|(_, by)| times(*by).abs() > 1 << 20) {
            return false;
        }
        let mut left = vec![0i64; rows];
        columns[j].iter().for_each(|row| left[*row] += denominator as i64);
        parts.iter().for_each(|(part, by)| columns[*part].iter().for_each(|row| left[*row] -= times(*by)));
        left.iter().all(|rest| *rest == 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_found_and_others_are_not() {
        let (a, b, both, c): (&[usize], &[usize], &[usize], &[usize]) = (&[0, 1], &[1, 2], &[0, 2], &[3]);
        // (a + b − both) / 2 is row 1 alone.
        let found = sums(4, &[a, b, both, &[1], c, &[0, 1, 3]], 3);
        assert_eq!(found, [Column::Sum(vec![0, 1, 2]), Column::New, Column::Sum(vec![0, 4])]);
        assert_eq!(sums(2, &[&[0], &[1]], 0), [Column::New, Column::New]);
        assert_eq!(sums(2, &[&[0], &[]], 1), [Column::Sum(vec![])]);
    }
}
