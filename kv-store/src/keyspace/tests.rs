//! What the heap of a keyspace keeps is what its versions hold, whatever becomes of them.

use super::*;

/// How many versions there are that hold something.
fn held(keyspace: &Keyspace) -> usize {
    let everything = KeyRange::prefix(b"");
    let keys = keyspace.keys.places(everything).map(|place| keyspace.keys.get(place));
    let items = keyspace.items.places(everything).map(|place| keyspace.items.get(place));
    let versions = keys.chain(items).flat_map(|record| record.since(0));
    versions.filter(|version| !version.is_gone()).count()
}

/// Moves what lies in pages that are half empty, however little that is.
fn tidy_all(keyspace: &mut Keyspace) {
    let Keyspace { keys, items, heap, .. } = keyspace;
    for table in [keys, items] {
        let mut place = 0;
        loop {
            let (record, next) = table.walk(place);
            if let Some(record) = record {
                record.tidy(heap);
            }
            if next == 0 {
                break;
            }
            place = next;
        }
    }
}

fn change(keyspace: &mut Keyspace, revision: u64, random: u64) {
    let key = [b'k', (random >> 33).to_le_bytes()[0] % 40];
    let name = [(random >> 41).to_le_bytes()[0] % 6];
    let bytes = match random >> 60 {
        0 => 5_000,
        some => usize::try_from(some * 37).expect("a small number"),
    };
    let value = vec![7; bytes];
    let is_hash = keyspace.get(&key, NEWEST).is_none_or(|found| found.1.kind == Kind::Hash);
    let stays = Tenure::default();
    match (random >> 49) % 8 {
        0 => keyspace.remove(revision, &KeyRange::single(&key), |_| ()),
        1 | 2 if is_hash => {
            keyspace.put_item(revision, (&key, Kind::Hash), (&name, &value), stays);
        }
        3 if is_hash => {
            keyspace.remove_item(revision, &key, &name);
        }
        4 => keyspace.remove(revision, &KeyRange::prefix(&key[..1]), |_| ()),
        _ => keyspace.put(revision, &key, &value, stays),
    }
}

#[test]
fn nothing_is_kept_that_no_version_holds() {
    let (mut keyspace, mut random) = (Keyspace::new(5), 1u64);
    for revision in 2..20_000 {
        for _ in 0..3 {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(revision);
            change(&mut keyspace, revision, random);
        }
        if random >> 61 == 0 {
            keyspace.unwind(revision);
        }
        if revision % 64 == 0 {
            keyspace.forget(revision - 40, 100 + usize::try_from(revision % 400).expect("few"));
        }
        if revision % 50 == 0 {
            tidy_all(&mut keyspace);
        }
        if revision % 211 == 0 {
            assert_eq!(keyspace.heap.count(), held(&keyspace), "at revision {revision}");
        }
    }
    assert!(0 < keyspace.heap.count());
    keyspace.remove(20_000, &KeyRange::prefix(b""), |_| ());
    keyspace.forget(20_001, usize::MAX);
    assert_eq!((keyspace.heap.count(), held(&keyspace)), (0, 0));
    assert!(keyspace.keys.is_empty() && keyspace.items.is_empty());
}

#[test]
fn memory_of_what_went_here_and_there_is_given_back_a_little_at_a_time() {
    let mut keyspace = Keyspace::new(5);
    let (value, stays) = ([7; 500], Tenure::default());
    for number in 0..100_000u32 {
        keyspace.put(u64::from(number) + 2, &number.to_be_bytes(), &value, stays);
    }
    for number in (0..100_000u32).filter(|number| number % 8 != 0) {
        let revision = u64::from(number) + 200_000;
        keyspace.remove(revision, &KeyRange::single(&number.to_be_bytes()), |_| ());
    }
    keyspace.forget(300_000, usize::MAX);
    assert!(keyspace.heap.is_wasteful());
    let steps = (0..100_000).take_while(|_| {
        keyspace.tidy(10);
        keyspace.heap.is_wasteful()
    });
    assert!((100..100_000).contains(&steps.count()));
    for number in (0..100_000u32).step_by(8) {
        let found = keyspace.get(&number.to_be_bytes(), NEWEST).expect("it stays");
        assert_eq!(found.1.value, value);
    }
}
