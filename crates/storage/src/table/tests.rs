use super::*;
use std::collections::BTreeMap;

type Contents = BTreeMap<Vec<u8>, Vec<u8>>;

fn config(dir: &tempfile::TempDir) -> TableConfig {
    TableConfig {
        dir: dir.path().join("state"),
        cache_bytes: 8 * 1024 * 1024,
    }
}

fn contents(table: &Table) -> Result<(Option<Vec<u8>>, Contents), TableError> {
    let mut found = Contents::new();
    let seal = table.load(|key, value| {
        assert!(found.insert(key.to_vec(), value).is_none(), "a record came twice");
        Ok(())
    })?;
    Ok((seal, found))
}

fn put(key: &[u8], value: &[u8]) -> TableChanges {
    TableChanges {
        put: vec![(key.to_vec(), value.to_vec())],
        remove: Vec::new(),
    }
}

#[test]
fn a_new_table_has_no_seal() {
    let dir = tempfile::tempdir().unwrap();
    let table = Table::open(&config(&dir)).unwrap();
    assert_eq!(contents(&table).unwrap(), (None, Contents::new()));
}

#[test]
fn a_checkpoint_is_found_again_with_its_seal() {
    let dir = tempfile::tempdir().unwrap();
    let mut table = Table::open(&config(&dir)).unwrap();
    table.checkpoint(&put(b"a", b"1"), b"one").unwrap();
    let both = TableChanges {
        put: vec![(b"b".to_vec(), b"2".to_vec())],
        remove: vec![b"a".to_vec(), b"never was".to_vec()],
    };
    table.checkpoint(&both, b"two").unwrap();
    drop(table);
    let table = Table::open(&config(&dir)).unwrap();
    let expected = Contents::from([(b"b".to_vec(), b"2".to_vec())]);
    assert_eq!(contents(&table).unwrap(), (Some(b"two".to_vec()), expected));
}

#[test]
fn large_values_are_cut_up_joined_again_and_never_become_blobs() {
    let dir = tempfile::tempdir().unwrap();
    let mut table = Table::open(&config(&dir)).unwrap();
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| (n * 7) as u8).collect();
    let mut expected = Contents::new();
    for n in 0..40_u8 {
        // a key that is the beginning of another must not mix with it
        let key = vec![0; usize::from(n)];
        let value = large[..usize::from(n) * 70_000].to_vec();
        table.checkpoint(&put(&key, &value), &[n]).unwrap();
        expected.insert(key, value);
    }
    // shorter now: the surplus pieces have to go
    table.checkpoint(&put(&[0; 39], b"short"), b"end").unwrap();
    expected.insert(vec![0; 39], b"short".to_vec());
    drop(table);
    let table = Table::open(&config(&dir)).unwrap();
    assert_eq!(contents(&table).unwrap(), (Some(b"end".to_vec()), expected));
    let blobs = fs::read_dir(config(&dir).dir.join("blobs")).map_or(0, |entries| entries.count());
    assert_eq!(blobs, 0, "sled never syncs a blob");
}

#[test]
fn longest_keys_by_the_thousand_never_become_blobs() {
    let dir = tempfile::tempdir().unwrap();
    let mut table = Table::open(&config(&dir)).unwrap();
    let mut changes = TableChanges::default();
    for n in 0..6_000_u32 {
        let mut key = vec![n as u8; KEY_BYTES_MAX - 4];
        key[1] = (n >> 8) as u8;
        key.extend_from_slice(&n.to_be_bytes());
        changes.put.push((key, vec![1; 100]));
    }
    table.checkpoint(&changes, b"seal").unwrap();
    assert_eq!(contents(&table).unwrap().1.len(), 6_000);
    let blobs = fs::read_dir(config(&dir).dir.join("blobs")).map_or(0, |entries| entries.count());
    assert_eq!(blobs, 0, "sled never syncs a blob");
}

#[test]
fn a_replacement_leaves_nothing_of_what_was() {
    let dir = tempfile::tempdir().unwrap();
    let mut table = Table::open(&config(&dir)).unwrap();
    table.checkpoint(&put(b"old", b"1"), b"one").unwrap();
    let records = (0..5_000_u32).map(|n| (n.to_be_bytes().to_vec(), vec![7; 10]));
    table.replace(records.clone(), b"two").unwrap();
    drop(table);
    let mut table = Table::open(&config(&dir)).unwrap();
    assert_eq!(contents(&table).unwrap(), (Some(b"two".to_vec()), records.collect()));
    table.checkpoint(&put(b"new", b"1"), b"three").unwrap();
    assert_eq!(contents(&table).unwrap().1.len(), 5_001);
}

#[test]
fn a_table_in_use_is_not_taken_for_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let _holder = Table::open(&config(&dir)).unwrap();
    assert!(matches!(Table::open(&config(&dir)), Err(TableError::InUse { .. })));
    assert!(matches!(
        Table::start_over(&config(&dir)),
        Err(TableError::InUse { .. })
    ));
}

#[test]
fn starting_over_keeps_one_damaged_folder() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(&dir);
    for round in 0..3_u8 {
        let mut table = Table::start_over(&config).unwrap();
        assert_eq!(contents(&table).unwrap().0, None);
        table.checkpoint(&put(b"k", &[round]), b"seal").unwrap();
    }
    let names = fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(names, 3, "state, state.lock, state.damaged");
}

#[test]
fn a_checkpoint_of_many_records_is_found_again_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut table = Table::open(&config(&dir)).unwrap();
    let many = (0..3 * WHOLE_RECORDS_MAX as u32).map(|n| (n.to_be_bytes().to_vec(), vec![1; 60]));
    let mut expected: Contents = many.collect();
    let changes = TableChanges {
        put: expected.clone().into_iter().collect(),
        remove: Vec::new(),
    };
    table.checkpoint(&changes, b"one").unwrap();
    let (put, remove): (Vec<_>, Vec<_>) = expected.keys().cloned().partition(|key| key[3] % 3 == 0);
    for key in &remove {
        expected.remove(key);
    }
    for key in &put {
        expected.insert(key.clone(), vec![2; 90]);
    }
    let put = put.into_iter().map(|key| (key, vec![2; 90])).collect();
    table.checkpoint(&TableChanges { put, remove }, b"two").unwrap();
    assert!(contents(&table).unwrap() == (Some(b"two".to_vec()), expected.clone()));
    drop(table);
    let table = Table::open(&config(&dir)).unwrap();
    assert!(contents(&table).unwrap() == (Some(b"two".to_vec()), expected));
}

/// sled keeps all that a batch replaces until it is through: a single one of half a million records took 2.4 GiB.
#[test]
fn of_a_checkpoint_in_pieces_that_is_cut_short_nothing_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut table = Table::open(&config(&dir)).unwrap();
    table.checkpoint(&put(b"a", b"1"), b"one").unwrap();
    // What comes last is refused, when all but the rest of a piece is in the table.
    let many = (0..=WHOLE_RECORDS_MAX as u32).map(|n| (n.to_be_bytes().to_vec(), b"2".to_vec()));
    let changes = TableChanges {
        put: many.chain([(vec![0; KEY_BYTES_MAX + 1], Vec::new())]).collect(),
        remove: Vec::new(),
    };
    assert!(table.checkpoint(&changes, b"cut short").is_err());
    assert!(table.chunks_of(table.generation, &0_u32.to_be_bytes()).unwrap() > 0);
    drop(table);
    let mut table = Table::open(&config(&dir)).unwrap();
    assert_eq!(contents(&table).unwrap(), (None, Contents::new()));
    table.checkpoint(&put(b"b", b"3"), b"two").unwrap();
    drop(table);
    let table = Table::open(&config(&dir)).unwrap();
    let expected = Contents::from([(b"b".to_vec(), b"3".to_vec())]);
    assert_eq!(contents(&table).unwrap(), (Some(b"two".to_vec()), expected));
    let beside: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .flatten()
        .map(|it| it.file_name())
        .collect();
    assert_eq!(beside.len(), 2, "{beside:?}");
}

/// What a crash leaves of a checkpoint that was not synced yet: any part of the bytes that differ, in any order.
#[test]
fn a_torn_checkpoint_reopens_at_an_earlier_seal_or_as_damaged_and_never_as_a_mixture() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(&dir);
    let records = |round: u8| -> Contents {
        let number = 40 + 10 * u32::from(round);
        (0..number)
            .map(|n| (n.to_be_bytes().to_vec(), vec![round; 300]))
            .collect()
    };
    let mut images = Vec::new();
    for round in 1..=3_u8 {
        let mut table = Table::open(&config).unwrap();
        let put = records(round).into_iter().collect();
        table
            .checkpoint(
                &TableChanges {
                    put,
                    remove: Vec::new(),
                },
                &[round],
            )
            .unwrap();
        // the file as the checkpoint has synced it, before a clean close writes more
        images.push(fs::read(config.dir.join("db")).unwrap());
    }
    let (synced, torn) = (&images[1], &images[2]);
    let differing: Vec<usize> = (0..torn.len())
        .filter(|&at| synced.get(at) != Some(&torn[at]))
        .collect();
    let mut outcomes = BTreeMap::new();
    for (number, part) in (0..=12).map(|n| (n, differing.len() * n / 12)) {
        for from_the_end in [false, true] {
            let mut image = torn.clone();
            let lost = if from_the_end {
                &differing[..differing.len() - part]
            } else {
                &differing[part..]
            };
            for &at in lost {
                image[at] = synced.get(at).copied().unwrap_or(0);
            }
            let broken = TableConfig {
                dir: dir.path().join(format!("torn-{number}-{from_the_end}")),
                ..config.clone()
            };
            fs::create_dir_all(&broken.dir).unwrap();
            fs::copy(config.dir.join("conf"), broken.dir.join("conf")).unwrap();
            fs::write(broken.dir.join("db"), image).unwrap();
            let outcome = match Table::open(&broken).and_then(|table| contents(&table)) {
                Ok((Some(seal), found)) => {
                    assert_eq!(found, records(seal[0]), "seal {seal:?}, {part} bytes kept");
                    format!("seal {}", seal[0])
                }
                Ok((None, found)) => {
                    assert!(found.is_empty());
                    "empty".to_owned()
                }
                Err(TableError::Damaged { .. }) => {
                    let table = Table::start_over(&broken).unwrap();
                    assert_eq!(contents(&table).unwrap().0, None);
                    "damaged".to_owned()
                }
                Err(error) => panic!("{error}"),
            };
            *outcomes.entry(outcome).or_insert(0) += 1;
        }
    }
    assert!(
        outcomes.contains_key("seal 3"),
        "the whole image is the last checkpoint: {outcomes:?}"
    );
    assert!(
        outcomes.contains_key("seal 2"),
        "the synced image is the one before: {outcomes:?}"
    );
}

#[test]
fn flipped_bits_are_found_and_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(&dir);
    let expected: Contents = (0..200_u32).map(|n| (n.to_be_bytes().to_vec(), vec![9; 200])).collect();
    let mut table = Table::open(&config).unwrap();
    let put = expected.clone().into_iter().collect();
    table
        .checkpoint(
            &TableChanges {
                put,
                remove: Vec::new(),
            },
            b"seal",
        )
        .unwrap();
    drop(table);
    let image = fs::read(config.dir.join("db")).unwrap();
    let used: Vec<usize> = (0..image.len()).filter(|&at| image[at] != 0).collect();
    for at in used.iter().step_by(used.len() / 12) {
        let mut flipped = image.clone();
        flipped[*at] ^= 0x10;
        fs::write(config.dir.join("db"), flipped).unwrap();
        for snapshot in fs::read_dir(&config.dir).unwrap().flatten() {
            if snapshot.file_name().to_string_lossy().starts_with("snap.") {
                fs::remove_file(snapshot.path()).unwrap();
            }
        }
        match Table::open(&config).and_then(|table| contents(&table)) {
            Ok((Some(_), found)) => assert_eq!(found, expected, "byte {at}"),
            Ok((None, found)) => assert!(found.is_empty(), "byte {at}"),
            Err(TableError::Damaged { .. }) => {}
            Err(error) => panic!("byte {at}: {error}"),
        }
    }
}
