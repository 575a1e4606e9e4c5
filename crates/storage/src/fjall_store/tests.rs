//! The store over real files, whole, torn and damaged.

use std::ops::ControlFlow;

use super::*;

mod damage;

fn batch(entries: &[(Keyspace, &str, &str)]) -> Batch {
    let mut batch = Batch::new();
    for &(keyspace, key, value) in entries {
        batch.put(keyspace, key, value);
    }
    batch
}

fn rows(reader: &dyn Reader, keyspace: Keyspace, from: &str) -> Vec<String> {
    let mut rows = Vec::new();
    reader
        .scan(keyspace, from.as_bytes(), &mut |key, value| {
            rows.push(format!("{}={}", String::from_utf8_lossy(key), String::from_utf8_lossy(value)));
            ControlFlow::Continue(())
        })
        .unwrap();
    rows
}

#[test]
fn what_was_committed_is_there_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = FjallStore::open(directory.path()).unwrap();
    let mut second = batch(&[(Keyspace::Message, "c", "C")]);
    second.delete(Keyspace::Message, "a");
    second.delete(Keyspace::Message, "was never there");
    let first =
        batch(&[(Keyspace::Message, "a", "A"), (Keyspace::Message, "b", "B"), (Keyspace::Meta, "a", "")]);
    store.commit(&[first, second], true).unwrap();
    store.commit(&[batch(&[(Keyspace::Retained, "t", "not synced")])], false).unwrap();
    drop(store);
    let store = FjallStore::open(directory.path()).unwrap();
    assert_eq!(rows(&*store.reader(), Keyspace::Message, ""), ["b=B", "c=C"]);
    assert_eq!(rows(&*store.reader(), Keyspace::Message, "bb"), ["c=C"]);
    assert_eq!(rows(&*store.reader(), Keyspace::Meta, ""), ["a="]);
    assert_eq!(store.get(Keyspace::Retained, b"t").unwrap().as_deref(), Some(&b"not synced"[..]));
    assert_eq!(store.get(Keyspace::Delivery, b"a").unwrap(), None, "keyspaces are apart");
}

#[test]
fn within_a_commit_the_later_change_wins() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = FjallStore::open(directory.path()).unwrap();
    let mut first = batch(&[(Keyspace::Cursor, "a", "1"), (Keyspace::Cursor, "b", "1")]);
    first.delete(Keyspace::Cursor, "a");
    first.put(Keyspace::Cursor, "a", "2");
    let mut second = batch(&[(Keyspace::Cursor, "a", "3"), (Keyspace::Cursor, "c", "1")]);
    second.delete(Keyspace::Cursor, "b");
    second.delete(Keyspace::Cursor, "c");
    for _ in 0..2 {
        store.commit(&[first.clone(), second.clone()], false).unwrap();
        assert_eq!(rows(&*store.reader(), Keyspace::Cursor, ""), ["a=3"]);
    }
    drop(store);
    let store = FjallStore::open(directory.path()).unwrap();
    assert_eq!(rows(&*store.reader(), Keyspace::Cursor, ""), ["a=3"], "and when it is read again");
}

#[test]
fn a_reader_follows_and_a_snapshot_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = FjallStore::open(directory.path()).unwrap();
    store.commit(&[batch(&[(Keyspace::Session, "1", "old")])], false).unwrap();
    let (reader, snapshot) = (store.reader(), store.reader().snapshot());
    store
        .commit(&[batch(&[(Keyspace::Session, "1", "new"), (Keyspace::Session, "2", "new")])], false)
        .unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(rows(&*reader, Keyspace::Session, ""), ["1=new", "2=new"]));
        scope.spawn(|| assert_eq!(rows(&*snapshot, Keyspace::Session, ""), ["1=old"]));
    });
    assert_eq!(snapshot.get(Keyspace::Session, b"2").unwrap(), None);
}

#[test]
fn a_sync_may_bring_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = FjallStore::open(directory.path()).unwrap();
    store.commit(&[], true).unwrap();
    store.commit(&[Batch::new()], true).unwrap();
    store.commit(&[Batch::new()], false).unwrap();
}

#[test]
fn an_impossible_key_is_an_error_and_the_last_one() {
    let directory = tempfile::tempdir().unwrap();
    let longest = "k".repeat(KEY_BYTES_MAX);
    let mut store = FjallStore::open(directory.path()).unwrap();
    store.commit(&[batch(&[(Keyspace::Retained, &longest, "1")])], true).unwrap();
    for key in ["", &format!("{longest}k")] {
        let mut store = FjallStore::open(&tempfile::tempdir().unwrap().path().join("store")).unwrap();
        let error = store.commit(&[batch(&[(Keyspace::Retained, key, "1")])], true).unwrap_err();
        assert!(matches!(error, StoreError::Key { length } if length == key.len()), "{error}");
        assert!(matches!(store.commit(&[], true), Err(StoreError::FailedBefore)));
    }
    assert!(store.get(Keyspace::Retained, longest.as_bytes()).unwrap().is_some());
}

/// A store with three commits: two synced, one not.
fn three_commits() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    // A journal is made with room for 64 MB; opened again it is as long as what it holds.
    drop(FjallStore::open(directory.path()).unwrap());
    let mut store = FjallStore::open(directory.path()).unwrap();
    for (key, sync) in [("1", true), ("2", true), ("3", false)] {
        store
            .commit(&[batch(&[(Keyspace::Message, key, "payload"), (Keyspace::Delivery, key, "")])], sync)
            .unwrap();
    }
    drop(store);
    let journal = directory.path().join("0.jnl");
    (directory, journal)
}

fn messages(store: &FjallStore) -> Vec<String> {
    rows(&*store.reader(), Keyspace::Message, "")
}

#[track_caller]
fn refused(store: &Path) -> Damage {
    match FjallStore::open(store).err().expect("it is damaged") {
        StoreError::Damaged { file, what } => Damage { file, what },
        other => panic!("{other}"),
    }
}

/// Where each commit ends.
fn ends(journal: &Path) -> Vec<usize> {
    let mut ends = Vec::new();
    let broken = journal::read(journal, &mut journal::Order::default(), |_, entry| {
        ends.push(ends.last().unwrap_or(&0) + entry.length);
    });
    assert!(broken.unwrap().is_none());
    ends
}

#[test]
fn a_start_tells_how_the_store_was_left() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let mut store = FjallStore::open(&path).unwrap();
    assert!(store.opening().is_new && store.opening().is_clean);
    store.commit(&[batch(&[(Keyspace::Meta, "a", "1")])], false).unwrap();
    store.close().unwrap();
    assert!(matches!(store.commit(&[], true), Err(StoreError::FailedBefore)), "closed is closed");
    drop(store);
    let store = FjallStore::open(&path).unwrap();
    assert_eq!(store.opening(), &Opening { is_clean: true, synced: 1, ..Opening::default() });
    drop(store);
    let store = FjallStore::open(&path).unwrap();
    assert_eq!(store.opening(), &Opening { synced: 1, ..Opening::default() }, "the mark was for one time");
}

#[test]
fn a_first_start_that_was_cut_short_is_begun_again() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("keyspaces")).unwrap();
    std::fs::write(directory.path().join("lock"), "").unwrap();
    std::fs::write(directory.path().join("0.jnl"), [0; 1000]).unwrap();
    assert!(FjallStore::open(directory.path()).unwrap().opening().is_new);
}

#[test]
fn a_torn_end_is_cut_and_kept_and_told() {
    let (directory, journal) = three_commits();
    let whole = std::fs::read(&journal).unwrap();
    let ends = ends(&journal);
    assert_eq!((ends.len(), ends[2]), (3, whole.len()));
    for length in [ends[1] + 1, ends[1] + 14, ends[2] - 14, ends[2] - 1] {
        for zeros in [0, 5000] {
            let mut torn = whole[..length].to_vec();
            torn.resize(length + zeros, 0);
            std::fs::write(&journal, &torn).unwrap();
            let store = FjallStore::open(directory.path()).unwrap();
            assert_eq!(messages(&store), ["1=payload", "2=payload"]);
            let cut = store.opening().cut.clone().expect("it is told");
            assert_eq!((&cut.journal, cut.at), (&journal, ends[1] as u64));
            // Its last bytes may be zeros, which are not told from room.
            assert!((cut.bytes as usize) <= length - ends[1] && cut.bytes > 0, "{cut:?}");
            assert_eq!(std::fs::read(&cut.kept).unwrap(), torn[ends[1]..ends[1] + cut.bytes as usize]);
            drop(store);
            assert_eq!(std::fs::metadata(&journal).unwrap().len(), ends[1] as u64);
            let store = FjallStore::open(directory.path()).unwrap();
            assert_eq!((messages(&store).len(), &store.opening().cut), (2, &None), "told once");
        }
    }
}

#[test]
fn the_whole_pages_of_a_torn_commit_may_be_the_last_ones() {
    let (directory, journal) = three_commits();
    let mut torn = std::fs::read(&journal).unwrap();
    let ends = ends(&journal);
    torn[ends[1]..ends[1] + 20].fill(0); // power was lost, and the later page was written first
    std::fs::write(&journal, &torn).unwrap();
    let store = FjallStore::open(directory.path()).unwrap();
    assert_eq!(messages(&store), ["1=payload", "2=payload"]);
    assert_eq!(store.opening().cut.as_ref().map(|cut| cut.bytes), Some((ends[2] - ends[1]) as u64));
}

#[test]
fn a_commit_goes_on_where_a_torn_one_was_cut() {
    let (directory, journal) = three_commits();
    let whole = std::fs::read(&journal).unwrap();
    std::fs::write(&journal, &whole[..whole.len() - 3]).unwrap();
    let mut store = FjallStore::open(directory.path()).unwrap();
    store.commit(&[batch(&[(Keyspace::Message, "4", "payload")])], true).unwrap();
    drop(store);
    let store = FjallStore::open(directory.path()).unwrap();
    assert_eq!(messages(&store), ["1=payload", "2=payload", "4=payload"]);
}

#[test]
fn any_byte_of_what_was_synced_is_missed_and_its_file_named() {
    let (directory, journal) = three_commits();
    let whole = std::fs::read(&journal).unwrap();
    let synced = ends(&journal)[1];
    for at in 0..synced {
        for flip in [0x01, 0x80] {
            let mut flipped = whole.clone();
            flipped[at] ^= flip;
            std::fs::write(&journal, &flipped).unwrap();
            match Opening::prepare(directory.path()) {
                Err(StoreError::Damaged { file, .. }) => assert_eq!(file, journal, "byte {at}"),
                // The first commit has none before that its sequence number must follow; higher is no harm.
                Ok(opening) if (5..8).contains(&at) => assert_eq!(opening.cut, None, "byte {at}"),
                other => panic!("byte {at}: {other:?}"),
            }
            assert_eq!(std::fs::read(&journal).unwrap(), flipped, "nothing is changed");
        }
    }
    let mut flipped = whole.clone();
    flipped[synced - 20] ^= 1;
    std::fs::write(&journal, &flipped).unwrap();
    let damage = refused(directory.path());
    assert_eq!(damage.file, journal);
    assert!(damage.what.starts_with("the batch there does not match its checksum (byte "), "{}", damage.what);
}

#[test]
fn after_a_good_close_the_last_byte_counts_too() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = FjallStore::open(directory.path()).unwrap();
    store.commit(&[batch(&[(Keyspace::Message, "1", "payload")])], false).unwrap();
    store.close().unwrap();
    drop(store);
    let journal = directory.path().join("0.jnl");
    let whole = std::fs::read(&journal).unwrap();
    let end = ends(&journal)[0];
    let mut flipped = whole.clone();
    flipped[end - 1] ^= 1;
    std::fs::write(&journal, &flipped[..end]).unwrap();
    assert_eq!(refused(directory.path()).file, journal);
    // All of it gone is no better than a part of it.
    std::fs::write(&journal, b"").unwrap();
    let damage = refused(directory.path());
    assert_eq!(
        damage.what,
        "its journals end with commit 0, but commit 1 was synced; a file is missing or cut short"
    );
}

#[test]
fn a_single_commit_that_was_synced_is_missed_too() {
    let directory = tempfile::tempdir().unwrap();
    drop(FjallStore::open(directory.path()).unwrap());
    let mut store = FjallStore::open(directory.path()).unwrap();
    store.commit(&[batch(&[(Keyspace::Message, "1", "payload")])], true).unwrap();
    drop(store);
    let journal = directory.path().join("0.jnl");
    let mut flipped = std::fs::read(&journal).unwrap();
    flipped[50] ^= 1;
    std::fs::write(&journal, &flipped).unwrap();
    for _ in 0..2 {
        assert_eq!(refused(directory.path()).file, journal);
        assert_eq!(std::fs::read(&journal).unwrap(), flipped, "what was cut to look behind it is back");
    }
}

#[test]
fn what_was_synced_is_missed_where_only_later_commits_tell() {
    let (directory, journal) = three_commits();
    std::fs::remove_file(directory.path().join("mark")).unwrap(); // as after a loss of power at the first start
    let whole = std::fs::read(&journal).unwrap();
    let ends = ends(&journal);
    let mut flipped = whole.clone();
    flipped[ends[1] - 20] ^= 1;
    std::fs::write(&journal, &flipped).unwrap();
    assert_eq!(refused(directory.path()).file, journal, "the third commit tells that the second was synced");
}

/// Writes what was committed out as tables, so that the journal is not needed.
fn flush(store: &FjallStore) {
    for keyspace in store.tables.keyspaces.iter().chain([&store.marks]) {
        keyspace.rotate_memtable_and_wait().unwrap();
    }
}

#[test]
fn a_damaged_table_or_manifest_is_named() {
    let (directory, _) = three_commits();
    let mut store = FjallStore::open(directory.path()).unwrap();
    let mut large = Batch::new();
    for n in 0..2000u32 {
        large.put(Keyspace::Retained, n.to_be_bytes(), n.to_be_bytes().repeat(20));
    }
    store.commit(&[large], true).unwrap();
    flush(&store);
    let keyspace = store.tables.of(Keyspace::Retained).path().to_owned();
    drop(store);
    let table = std::fs::read_dir(keyspace.join("tables")).unwrap().next().unwrap().unwrap().path();
    let current = std::fs::read(keyspace.join("current")).unwrap();
    let manifest = keyspace.join(format!("v{}", current[0]));
    for file in [&manifest, &keyspace.join("current"), &table] {
        let whole = std::fs::read(file).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 3] ^= 1;
        std::fs::write(file, &flipped).unwrap();
        assert_eq!(tables::verify(directory.path(), true).unwrap().len(), 1, "{}", file.display());
        if file == &table {
            // It opens, and what reads the block is told.
            let store = FjallStore::open(directory.path()).unwrap();
            let error =
                store.scan(Keyspace::Retained, b"", &mut |_, _| ControlFlow::Continue(())).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("{} is damaged: it does not match its checksum", table.display())
            );
        } else {
            let damage = refused(directory.path());
            assert!([&manifest, &keyspace.join("current")].contains(&&damage.file), "{damage:?}");
        }
        std::fs::write(file, &whole).unwrap();
    }
    std::fs::remove_file(&table).unwrap();
    assert_eq!(tables::verify(directory.path(), true).unwrap(), [Damage::new(&table, "it is missing")]);
    assert_eq!(refused(directory.path()).file, table);
}

/// A data directory with so many messages in tables, and as many more in the journal.
fn tables_and_journal(rows: u32) -> (tempfile::TempDir, crate::DataDirectory) {
    let parent = tempfile::tempdir().unwrap();
    let directory = crate::DataDirectory::open(parent.path()).unwrap();
    drop(directory.open_store().unwrap());
    let mut store = directory.open_store().unwrap();
    for part in 0..2 {
        for n in 0..rows {
            let mut row = Batch::new();
            row.put(Keyspace::Message, (part * rows + n).to_be_bytes(), n.to_be_bytes().repeat(100));
            row.put(Keyspace::Retained, "newest", (part * rows + n).to_be_bytes());
            row.put(Keyspace::Incoming, n.to_be_bytes(), "");
            if part == 1 {
                row.delete(Keyspace::Incoming, n.to_be_bytes());
            }
            store.commit(&[row], n + 1 == rows).unwrap();
        }
        if part == 0 {
            flush(&store);
        }
    }
    store.close().unwrap();
    drop(store);
    (parent, directory)
}

fn count(store: &FjallStore, keyspace: Keyspace) -> usize {
    rows(&*store.reader(), keyspace, "").len()
}

#[test]
fn a_repair_of_a_whole_store_saves_everything() {
    let (_parent, directory) = tables_and_journal(100);
    assert_eq!(directory.damages().unwrap(), []);
    let (salvaged, original) = directory.repair(&mut |_, _, _| true).unwrap();
    assert_eq!(salvaged, Salvaged { rows: 201, refused: 0, damages: Vec::new() });
    let store = directory.open_store().unwrap();
    assert_eq!((count(&store, Keyspace::Message), count(&store, Keyspace::Incoming)), (200, 0));
    assert_eq!(store.get(Keyspace::Retained, b"newest").unwrap().unwrap(), 199u32.to_be_bytes());
    assert!(original.join("version").exists());
    drop(store);
    let (salvaged, second) = directory.repair(&mut |keyspace, _, _| keyspace != Keyspace::Message).unwrap();
    assert_eq!((salvaged.rows, salvaged.refused), (1, 200));
    assert_ne!(original, second, "nothing is written over");
}

#[test]
fn a_damaged_batch_or_block_costs_its_own_rows_only() {
    let (_parent, directory) = tables_and_journal(100);
    let store = directory.path().join("store");
    let journal = store.join("0.jnl");
    let mut bytes = std::fs::read(&journal).unwrap();
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    bytes[end - 40_000] ^= 1;
    std::fs::write(&journal, &bytes).unwrap();
    let table = largest(&store.join("keyspaces"));
    let mut bytes = std::fs::read(&table).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    std::fs::write(&table, &bytes).unwrap();
    let damages = directory.damages().unwrap();
    assert_eq!(damages.iter().map(|damage| &damage.file).collect::<Vec<_>>(), [&journal, &table]);
    let error = directory.open_store().err().unwrap().to_string();
    assert!(error.contains("noctule store repair --data "), "{error}");
    let (salvaged, original) = directory.repair(&mut |_, _, _| true).unwrap();
    assert_eq!(salvaged.damages.len(), 2, "{salvaged:?}");
    let repaired = directory.open_store().unwrap();
    let messages = count(&repaired, Keyspace::Message);
    assert_eq!(messages, 199, "what the block had is in the journal still; the broken batch had one");
    assert_eq!(repaired.get(Keyspace::Retained, b"newest").unwrap().unwrap(), 199u32.to_be_bytes());
    let kept = original.join(table.strip_prefix(&store).unwrap());
    assert_eq!(std::fs::read(kept).unwrap(), bytes, "the original is as it was");
}

#[test]
fn a_damaged_block_costs_a_part_of_its_table() {
    let (_parent, directory) = tables_and_journal(1000);
    let table = largest(&directory.path().join("store/keyspaces"));
    let mut bytes = std::fs::read(&table).unwrap();
    let count = |bytes: &[u8]| {
        let mut rows = 0;
        let Ok(()) = salvage::blocks::rows(bytes, |_| {
            rows += 1;
            Ok::<_, std::convert::Infallible>(())
        });
        rows
    };
    assert_eq!(count(&bytes), 1000);
    let length = bytes.len();
    for at in [0, 10, length / 3, length / 2] {
        bytes[at] ^= 1;
        assert!((900..1000).contains(&count(&bytes)), "byte {at}");
        assert!(count(&bytes[..length / 2]) > 400, "and a tail that is gone only that");
        bytes[at] ^= 1;
    }
}

#[test]
fn any_single_file_may_be_gone() {
    let (_parent, directory) = tables_and_journal(20);
    let store = directory.path().join("store");
    let large = largest(&store.join("keyspaces"));
    let large = large.parent().and_then(Path::parent).unwrap();
    let mut tried = files(&store);
    tried.retain(|file| {
        file.parent() == Some(&store)
            || file.starts_with(store.join("keyspaces/0"))
            || file.starts_with(large)
    });
    for file in tried {
        let aside = directory.path().join("aside");
        std::fs::rename(&file, &aside).unwrap();
        let copy = tempfile::tempdir().unwrap();
        let new = copy.path().join("new");
        let salvaged = salvage(&store, &copy.path().join("scratch"), &new, &mut |_, _, _| true).unwrap();
        assert!(salvaged.rows >= 20, "{}: {salvaged:?}", file.display());
        assert!(FjallStore::damages(&new).unwrap().is_empty());
        std::fs::rename(&aside, &file).unwrap();
    }
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

fn largest(folder: &Path) -> PathBuf {
    files(folder).into_iter().max_by_key(|path| path.metadata().unwrap().len()).unwrap()
}
