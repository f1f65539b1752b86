//! Group keys as dense numbers.
//!
//! Keys that share a hash share a chain, and if many do, one person's rows take as long as everybody's. The hash is randomly
//! keyed, so no query can aim at collisions: SipHash, from the standard library, over the keys in Arrow's row format. An
//! engine's own group tables hash by public constants.

use std::hash::{BuildHasher as _, RandomState};

use arrow::{
    array::ArrayRef,
    datatypes::DataType,
    row::{RowConverter, Rows, SortField},
};
use hashbrown::HashTable;

use crate::RunError;

/// Numbering of keys: the first number is 0, and equal keys have equal numbers.
pub(super) struct Groups {
    encode: RowConverter,
    hash: RandomState,
    /// Hash and number of each key.
    places: HashTable<(u64, usize)>,
    /// Keys by number.
    keys: Rows,
    /// Keys of a batch.
    batch: Rows,
}

impl Groups {
    /// Creates a numbering for keys of these columns' types.
    pub(super) fn new(columns: &[ArrayRef]) -> Result<Self, RunError> {
        let encode = converter(columns.iter().map(|column| column.data_type()))?;
        let (keys, batch) = (encode.empty_rows(0, 0), encode.empty_rows(0, 0));
        Ok(Self { encode, hash: RandomState::new(), places: HashTable::new(), keys, batch })
    }

    /// Returns the number of keys with numbers.
    pub(super) fn len(&self) -> usize {
        self.keys.num_rows()
    }

    /// Returns the bytes of memory in use.
    pub(super) fn size(&self) -> usize {
        self.keys.size() + self.batch.size() + self.places.allocation_size()
    }

    /// Numbers these keys, row by row; new keys get the next numbers.
    pub(super) fn number(&mut self, columns: &[ArrayRef], numbers: &mut Vec<usize>) -> Result<(), RunError> {
        self.batch.clear();
        self.encode.append(&mut self.batch, columns)?;
        let Self { hash, places, keys, batch, .. } = self;
        numbers.clear();
        numbers.reserve(batch.num_rows());
        for row in batch.iter() {
            let code = hash.hash_one(row.data());
            let found = places.find(code, |(other, number)| *other == code && keys.row(*number).data() == row.data());
            numbers.push(match found {
                Some((_, number)) => *number,
                None => {
                    let number = keys.num_rows();
                    keys.push(row);
                    places.insert_unique(code, (code, number), |(code, _)| *code);
                    number
                }
            });
        }
        Ok(())
    }

    /// Returns the first `count` keys, column by column.
    pub(super) fn first(&self, count: usize) -> Result<Vec<ArrayRef>, RunError> {
        Ok(self.encode.convert_rows(self.keys.iter().take(count))?)
    }

    /// Takes all keys, column by column, and leaves none.
    pub(super) fn take(&mut self) -> Result<Vec<ArrayRef>, RunError> {
        let keys = self.first(self.len())?;
        self.clear();
        Ok(keys)
    }

    /// Removes all keys and frees their memory.
    pub(super) fn clear(&mut self) {
        self.places = HashTable::new();
        self.keys = self.encode.empty_rows(0, 0);
    }
}

/// Creates a converter from keys of these types to bytes; equal keys become equal bytes.
pub(super) fn converter<'t>(kinds: impl Iterator<Item = &'t DataType>) -> Result<RowConverter, RunError> {
    Ok(RowConverter::new(kinds.map(|kind| SortField::new(kind.clone())).collect())?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn equal_keys_have_one_number_and_others_have_others() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some(""), Some("a"), None]));
        let whole: ArrayRef = Arc::new(Int64Array::from(vec![1, 1, 1, 1, 2]));
        let columns = [texts, whole];
        let (mut groups, mut numbers) = (Groups::new(&columns).unwrap(), vec![]);
        groups.number(&columns, &mut numbers).unwrap();
        assert_eq!((numbers.as_slice(), groups.len()), ([0, 1, 2, 0, 3].as_slice(), 4));
        groups.number(&[columns[0].slice(1, 2), columns[1].slice(1, 2)], &mut numbers).unwrap();
        assert_eq!(numbers, [1, 2]);
        let first = groups.first(2).unwrap();
        assert_eq!((&first[0], &first[1]), (&columns[0].slice(0, 2), &columns[1].slice(0, 2)));
        assert_eq!(groups.take().unwrap()[1].len(), 4);
        assert_eq!(groups.len(), 0);
        groups.number(&[columns[0].slice(2, 1), columns[1].slice(2, 1)], &mut numbers).unwrap();
        assert_eq!(numbers, [0]);
    }

    /// Where a key's hash does not follow from the key alone, nobody can choose keys that share one.
    #[test]
    fn no_two_tables_hash_alike() {
        let columns: [ArrayRef; 1] = [Arc::new(Int64Array::from(vec![1]))];
        let code = || Groups::new(&columns).unwrap().hash.hash_one(b"a key".as_slice());
        assert_ne!(code(), code());
    }
}
