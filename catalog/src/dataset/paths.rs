//! Files behind the paths named by an owner on the command line, and the files' published names.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path, PathBuf},
};

use tidegate_protocol::{limits, policy::Policy};

use super::{DataError, broken, read::is_beside, unreadable};

/// Files of a table.
#[derive(Debug, Clone, Default)]
pub struct TableFiles {
    /// Name of the table, if the dataset has several tables.
    pub table: Option<String>,
    /// Paths of the files (nonempty).
    pub files: Vec<PathBuf>,
    /// Name of each file in the manifest: its path below the folder named by the owner, with `/` between folders. All names
    /// differ.
    pub names: Vec<String>,
    /// Files without data in the named folders.
    pub left_out: Vec<PathBuf>,
}

/// Maximum depth of nested folders.
const DEEP: usize = 16;

/// Returns whether a file was left beside the data by file managers or Spark: its name begins with a dot or an underscore.
fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".") || name.as_encoded_bytes().starts_with(b"_"))
}

/// Parses the column and the value in a folder's name, as Hive and Spark write them: `year=2021`.
fn partition(name: &str) -> Option<(&str, &str)> {
    name.split_once('=').filter(|(column, value)| !column.is_empty() && !value.is_empty() && !column.contains('.'))
}

/// Returns the columns and values stated by the folders in a file's name.
pub(crate) fn partitions(name: &str) -> BTreeMap<String, String> {
    let folders = name.rsplit_once('/').map_or("", |(folders, _)| folders);
    folders.split('/').filter_map(partition).map(|(column, value)| (unescaped(column), unescaped(value))).collect()
}

/// Decodes percent signs in a name: Hive encodes characters not allowed by file systems in this way.
fn unescaped(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((byte, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match code {
            Some(code) if *byte == b'%' => {
                bytes.push(code);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

impl TableFiles {
    /// Lists the files of a dataset with a single table, under their own names.
    pub fn of(files: &[PathBuf]) -> Self {
        let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { files: files.to_vec(), names: files.iter().map(name).collect(), ..Self::default() }
    }

    /// Lists the files behind `paths`; a folder stands for all files below, by name.
    ///
    /// Hidden files, and files that are not data, are left out.
    fn expand(table: Option<String>, paths: &[PathBuf]) -> Result<Self, DataError> {
        let mut found = Self { table, ..Self::default() };
        for path in paths {
            let path = path.canonicalize().map_err(|e| unreadable(path, e))?;
            // Parent folders that state a column's value are part of the name, however much of the path was given.
            let says = |folder: &&Path| folder.file_name().and_then(|name| partition(name.to_str()?)).is_some();
            let folder = if path.is_dir() { &path } else { path.parent().unwrap_or(&path) };
            let top = folder.ancestors().find(|folder| !says(folder)).unwrap_or(folder).to_owned();
            if path.is_dir() { found.folder(&top, &path, DEEP)? } else { found.add(&top, path)? }
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = found.files.iter().find(|file| !seen.insert(file.as_path())) {
            return Err(broken(twice, "is listed twice: its rows would count twice"));
        }
        if !found.are_apart() {
            found.name_below_common_folder()?;
        }
        found.names.iter().zip(&found.files).try_for_each(|(name, file)| {
            let long = name.len() > limits::FILE_NAME_BYTES || name.split('/').any(|part| part.len() > limits::NAME_BYTES);
            if long { Err(broken(file, "the file name is too long")) } else { Ok(()) }
        })?;
        Ok(found)
    }

    fn folder(&mut self, top: &Path, folder: &Path, deep: usize) -> Result<(), DataError> {
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(|e| unreadable(folder, e))? {
            inside.push(entry.map_err(|e| unreadable(folder, e))?.path());
        }
        inside.sort();
        for path in inside.into_iter().filter(|path| !is_hidden(path)) {
            if path.is_dir() {
                let deeper = deep.checked_sub(1).ok_or_else(|| broken(&path, format!("is more than {DEEP} folders deep")))?;
                self.folder(top, &path, deeper)?;
            } else if path.is_file() && !is_beside(&path) {
                self.add(top, path)?;
            } else {
                self.left_out.push(path);
            }
        }
        Ok(())
    }

    fn add(&mut self, top: &Path, path: PathBuf) -> Result<(), DataError> {
        self.names.push(below(top, &path)?);
        self.files.push(path);
        Ok(())
    }

    /// Returns whether all names differ, and no name is a folder in another.
    fn are_apart(&self) -> bool {
        let names: BTreeSet<&str> = self.names.iter().map(String::as_str).collect();
        let folders = |name: &&str| name.match_indices('/').any(|(at, _)| names.contains(&name[..at]));
        names.len() == self.names.len() && !names.iter().any(folders)
    }

    /// Names files by their paths below their common folder.
    fn name_below_common_folder(&mut self) -> Result<(), DataError> {
        let mut common = self.files.first().and_then(|first| first.parent()).unwrap_or(Path::new("/")).to_owned();
        while !self.files.iter().all(|file| file.starts_with(&common)) && common.pop() {}
        self.names = self.files.iter().map(|file| below(&common, file)).collect::<Result<_, _>>()?;
        // Folders that state no column's value are not needed where the files are fetched.
        let whole = std::mem::take(&mut self.names);
        let flat = |name: &String| if partitions(name).is_empty() { name.replace('/', "_") } else { name.clone() };
        self.names = whole.iter().map(flat).collect();
        if !self.are_apart() {
            self.names = whole;
        }
        Ok(())
    }
}

fn below(top: &Path, path: &Path) -> Result<String, DataError> {
    let rest = path.strip_prefix(top).map_err(|e| broken(path, e))?;
    let names: Option<Vec<&str>> = rest
        .components()
        .map(|part| match part {
            Component::Normal(name) => name.to_str().filter(|name| !name.contains('\\')),
            _ => None,
        })
        .collect();
    names.map(|names| names.join("/")).ok_or_else(|| broken(path, "has a name that is not UTF-8, or has a backslash in it"))
}

/// Lists the files named by an owner: paths; or, if the policy has tables, `TABLE=PATH`, at least one of each.
///
/// # Errors
/// Returns [`DataError::File`] if there are none, too many, or one is missing or given twice; also naming a table that does not
/// exist or has no files.
pub fn tables(given: &[PathBuf], policy: &Policy) -> Result<Vec<TableFiles>, DataError> {
    let mut all = Vec::new();
    if policy.tables.is_empty() {
        all.push(TableFiles::expand(None, given)?);
    } else {
        let known = || policy.tables.iter().map(|t| format!("{t}=FILE")).collect::<Vec<_>>().join(" ");
        let mut paths: BTreeMap<&str, Vec<PathBuf>> = BTreeMap::new();
        for one in given {
            let named = one.to_str().and_then(|text| text.split_once('='));
            let table = named.and_then(|(table, path)| Some((policy.tables.iter().find(|t| *t == table)?, path)));
            let Some((table, path)) = table else {
                return Err(broken(one, format!("is not a table of the policy. Write {}", known())));
            };
            paths.entry(table).or_default().push(path.into());
        }
        for table in &policy.tables {
            let Some(paths) = paths.get(table.as_str()) else {
                return Err(broken(Path::new(table), format!("the table has no files. Write {}", known())));
            };
            all.push(TableFiles::expand(Some(table.clone()), paths)?);
        }
    }
    let files: usize = all.iter().map(|t| t.files.len()).sum();
    // Files of a single table can be merged into one file.
    let most = if policy.tables.is_empty() { limits::GIVEN } else { limits::FILES };
    if all.iter().any(|t| t.files.is_empty()) || files > most {
        let problem = format!("{files} files: a version can have 1 to {most}");
        return Err(DataError::File { file: "(all)".into(), problem });
    }
    Ok(all)
}

/// Number of bytes in a manifest per file, besides the file's name.
const NAMING: usize = 120;
/// Number of bytes in a manifest for everything but its files.
const OTHER: usize = 8 << 10;

/// Returns whether a manifest has room for the names of all files. If not, the files are published as a single file, whatever
/// their rows.
pub fn fit_a_manifest(tables: &[TableFiles]) -> bool {
    let names = || tables.iter().flat_map(|table| &table.names);
    names().count() <= limits::FILES && names().map(|name| name.len() + NAMING).sum::<usize>() <= limits::DOCUMENT_BYTES - OTHER
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(given: &[PathBuf]) -> Result<Vec<String>, String> {
        TableFiles::expand(None, given).map(|found| found.names).map_err(|e| e.to_string())
    }

    #[test]
    fn every_file_has_a_name_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        for path in [
            "2021/p.csv",
            "2022/p.csv",
            "h/year=2021/a.csv",
            "h/year=2022/m=1/a.csv",
            "h/README.md",
            "h/_SUCCESS",
            "h/.x/a.csv",
            "flat/a.CSV",
            "flat/notes.docx",
        ] {
            std::fs::create_dir_all(at(path).parent().unwrap()).unwrap();
            std::fs::write(at(path), "x").unwrap();
        }
        assert_eq!(names(&[at("2021/p.csv")]).unwrap(), ["p.csv"]);
        assert_eq!(names(&[at("2021/p.csv"), at("2022/p.csv")]).unwrap(), ["2021_p.csv", "2022_p.csv"]);
        assert_eq!(names(&[at("2021"), at("2022")]).unwrap(), ["2021_p.csv", "2022_p.csv"]);
        let hive = ["year=2021/a.csv", "year=2022/m=1/a.csv"];
        assert_eq!(names(&[at("h")]).unwrap(), hive);
        assert_eq!(names(&[at("h/year=2021"), at("h/year=2022/m=1/a.csv")]).unwrap(), hive);
        assert_eq!(names(&[at("flat")]).unwrap(), ["a.CSV"]);
        assert_eq!(TableFiles::expand(None, &[at("h")]).unwrap().left_out, [at("h/README.md").canonicalize().unwrap()]);
        assert!(names(&[at("2021/p.csv"), at("2021")]).unwrap_err().contains("twice"));
        assert_eq!(
            partitions("year=2021/x/town=Z%C3%BCrich/a=b.csv").into_iter().collect::<Vec<_>>(),
            [("town".into(), "Zürich".into()), ("year".into(), "2021".into())]
        );
    }
}
