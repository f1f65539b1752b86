use std::{error::Error as _, io::ErrorKind};

use tidegate_ledger::{Store, StoreError};
use tidegate_protocol::ContentHash;

use super::*;
use crate::{buyer::job_file::JobFile, discovery::address_book::Book, home::Home, owner};

fn home() -> (tempfile::TempDir, Home) {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(folder.path().join("home"));
    home.init().unwrap();
    (folder, home)
}

#[test]
fn an_unknown_dataset_is_named_with_those_that_are_known() {
    let (_folder, home) = home();
    let e = owner::publish::find(&home, "towns").unwrap_err();
    let NodeError::NoSuchDataset(NoSuchDataset::Here { name, known }) = &e else { panic!("{e:?}") };
    assert_eq!((name.as_str(), known.len()), ("towns", 0));
    assert_eq!(e.to_string(), "no dataset \"towns\" here. Published: nothing");
}

#[test]
fn a_file_that_cannot_be_read_keeps_the_system_s_error() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("job.toml");
    let e = JobFile::read(&missing).unwrap_err();
    let NodeError::Io { path, source, .. } = &e else { panic!("{e:?}") };
    assert_eq!((path, source.kind()), (&missing, ErrorKind::NotFound));
    let source = e.source().and_then(|source| source.downcast_ref::<io::Error>()).unwrap();
    assert_eq!(source.kind(), ErrorKind::NotFound);
    let e = Home::at(folder.path()).identity().unwrap_err();
    assert!(matches!(&e, NodeError::Io { source, .. } if source.kind() == ErrorKind::NotFound), "{e:?}");
    assert!(e.to_string().ends_with("(os error 2). Run `tidegate init` first"), "{e}");
}

#[test]
fn a_file_of_another_form_is_not_one_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), "no key").unwrap();
    let e = Home::at(folder.path()).identity().unwrap_err();
    assert!(matches!(&e, NodeError::Corrupt { path, .. } if path.ends_with("key")), "{e:?}");
    let job = folder.path().join("job.toml");
    std::fs::write(&job, "dataset = 1").unwrap();
    let e = JobFile::read(&job).err().unwrap();
    assert!(matches!(&e, NodeError::Corrupt { path, .. } if *path == job), "{e:?}");
}

#[test]
fn a_ledger_in_use_is_told_apart_from_an_order_that_its_holder_refuses() {
    let (_folder, home) = home();
    let held = Store::open(home.path(), home.identity().unwrap()).unwrap();
    let e = Store::open(home.path(), home.identity().unwrap()).map(drop).map_err(NodeError::from).unwrap_err();
    assert!(matches!(e, NodeError::Store(StoreError::InUse)), "{e:?}");
    let order = owner::spool::Word::Close { job: ContentHash::of(b"no job") };
    let e = std::thread::scope(|scope| {
        let saying = scope.spawn(|| owner::spool::say(&home, &order).unwrap_err());
        while !saying.is_finished() {
            drop(owner::spool::take(&home, &held));
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        saying.join().unwrap()
    });
    assert!(matches!(&e, NodeError::OrderRefused(why) if why.ends_with("is charged and has no result")), "{e:?}");
}

#[test]
fn a_name_and_an_address_fail_in_different_ways() {
    let (_folder, home) = home();
    let mut book = Book::open(&home).unwrap();
    assert!(matches!(book.remove("ann"), Err(NodeError::NoSuchPeer { name }) if name == "ann"));
    let e = book.address("ann").unwrap_err();
    assert!(matches!(&e, NodeError::NoAddress(_)), "{e:?}");
    assert!(e.source().is_some());
}

#[test]
fn an_error_goes_where_tasks_and_threads_go() {
    fn goes<T: Send + Sync + 'static>() {}
    goes::<NodeError>();
}
