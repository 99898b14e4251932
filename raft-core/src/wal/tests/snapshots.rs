//! Snapshot files: whole or not there, through crashes, rot and bad transfers.

use bytes::Bytes;

use super::{Chance, Failing};
use crate::snapshot::SnapshotId;
use crate::types::{EntryId, Index, Term};
use crate::wal::disk::{Disk, DiskError};
use crate::wal::memory_disk::MemoryDisk;
use crate::wal::snapshots::{CHUNK_BYTES_MAX, Found, Received, SnapshotError, Snapshots};

fn last(term: u64, index: u64) -> EntryId {
    EntryId { term: Term(term), index: Index(index) }
}

fn open<D: Disk>(disk: D) -> Snapshots<D> {
    Snapshots::open(disk).unwrap().0
}

/// Parts of several lengths; those of different tags differ.
fn parts(tag: u8) -> Vec<Vec<u8>> {
    vec![vec![tag; 40], vec![tag, 1], vec![tag + 1; 40], vec![tag; 700]]
}

fn build<D: Disk>(
    snapshots: &mut Snapshots<D>,
    last: EntryId,
    parts: &[Vec<u8>],
) -> Result<SnapshotId, SnapshotError> {
    snapshots.begin(last)?;
    parts.iter().try_for_each(|part| snapshots.append(part))?;
    snapshots.finish()
}

fn load<D: Disk>(
    snapshots: &mut Snapshots<D>,
    id: SnapshotId,
) -> Result<Vec<Bytes>, SnapshotError> {
    let (mut reader, mut parts) = (snapshots.open_parts(id)?, Vec::new());
    assert_eq!(reader.id(), id);
    while let Some(part) = snapshots.next_part(&mut reader)? {
        parts.push(part);
    }
    assert_eq!(snapshots.next_part(&mut reader), Ok(None));
    Ok(parts)
}

/// Two snapshots, of the tags 10 and 20.
fn two() -> (MemoryDisk, [SnapshotId; 2]) {
    let mut disk = MemoryDisk::default();
    let mut snapshots = open(&mut disk);
    let older = build(&mut snapshots, last(1, 10), &parts(10)).unwrap();
    let newer = build(&mut snapshots, last(1, 20), &parts(20)).unwrap();
    (disk, [older, newer])
}

/// A third snapshot, of the tag 30, and the bytes of its file.
fn third() -> (SnapshotId, Vec<u8>) {
    let mut disk = MemoryDisk::default();
    let id = build(&mut open(&mut disk), last(2, 30), &parts(30)).unwrap();
    (id, disk.content("snapshot-000000000000001e-2").unwrap())
}

fn names(disk: &mut MemoryDisk) -> Vec<String> {
    disk.list().unwrap()
}

#[test]
fn parts_come_back_as_they_were_appended_and_the_newest_two_stay() {
    let mut disk = MemoryDisk::default();
    assert_eq!(Snapshots::open(&mut disk).unwrap().1, Found::default());
    let mut ids = Vec::new();
    for number in 1..=4u8 {
        let mut snapshots = open(&mut disk);
        let place = last(1 + u64::from(number) / 3, u64::from(number) * 100);
        let id = build(&mut snapshots, place, &parts(number)).unwrap();
        assert_eq!((id.last, snapshots.newest()), (place, Some(id)));
        ids.insert(0, id);
        ids.truncate(2);
        assert_eq!(snapshots.all(), ids);
        disk.crash(|_, _| false);
        let (mut snapshots, found) = Snapshots::open(&mut disk).unwrap();
        assert_eq!(found, Found { newest: Some(id), damaged: vec![] });
        assert_eq!(snapshots.all(), ids);
        assert_eq!(load(&mut snapshots, id).unwrap(), parts(number));
    }
    assert_eq!(names(&mut disk), ["snapshot-000000000000012c-2", "snapshot-0000000000000190-2"]);
    assert_eq!(disk.len("snapshot-0000000000000190-2").unwrap(), ids[0].bytes);
}

#[test]
fn equal_content_has_an_equal_id_and_any_other_does_not() {
    let id =
        |place, parts: &[Vec<u8>]| build(&mut open(MemoryDisk::default()), place, parts).unwrap();
    let original = id(last(2, 30), &parts(30));
    assert_eq!(original, third().0);
    let mut swapped = parts(30);
    swapped.swap(0, 2);
    let mut joined = parts(30);
    let tail = joined.remove(1);
    joined[0].extend(tail);
    for other in [swapped, joined, parts(31), parts(30)[1..].to_vec(), vec![]] {
        assert_ne!(id(last(2, 30), &other), original);
    }
    assert_ne!(id(last(2, 31), &parts(30)), original);
}

#[test]
fn a_build_that_does_not_end_well_leaves_nothing_behind() {
    let (mut disk, [_, newer]) = two();
    let before = names(&mut disk);
    let mut snapshots = open(disk);
    let not_newer = Err(SnapshotError::NotNewer { newest: newer });
    assert_eq!(snapshots.begin(last(1, 19)), not_newer);

    // One that ends where the newest does takes its place: that one may be of no use.
    snapshots.begin(newer.last).unwrap();
    snapshots.append(b"another").unwrap();
    snapshots.abandon();
    assert_eq!(snapshots.newest(), Some(newer));

    snapshots.begin(last(2, 30)).unwrap();
    assert!(snapshots.is_building());
    snapshots.abandon();
    assert!(!snapshots.is_building());

    snapshots.begin(last(2, 30)).unwrap();
    let (bytes, bytes_max) = (CHUNK_BYTES_MAX as u64 + 1, CHUNK_BYTES_MAX as u64);
    let too_long = SnapshotError::TooLong { bytes, bytes_max };
    assert_eq!(snapshots.append(&vec![0; CHUNK_BYTES_MAX + 1]), Err(too_long));
    assert!(!snapshots.is_building());

    // One that was begun before and covers less than what was received meanwhile.
    snapshots.begin(last(2, 25)).unwrap();
    let (id, bytes) = third();
    assert!(snapshots.receive(id, 0, &bytes).unwrap().is_complete);
    assert_eq!(snapshots.finish(), Err(SnapshotError::NotNewer { newest: id }));

    snapshots.set_aside(id).unwrap();
    let mut disk = snapshots.into_disk();
    disk.remove("damaged-snapshot-000000000000001e-2").unwrap();
    let left = names(&mut disk);
    assert_eq!(left, before[1..], "the older one made room for the received one");
}

#[test]
fn a_full_disk_ends_a_build_and_a_transfer_with_an_error_and_both_work_later() {
    let (id, bytes) = third();
    let (mut disk, [_, newer]) = two();
    let used: u64 = names(&mut disk).iter().map(|name| disk.len(name).unwrap()).sum();
    for room in 0..bytes.len() as u64 {
        disk.set_capacity(Some(used + room));
        let mut snapshots = open(&mut disk);
        let is_full =
            |error| matches!(error, SnapshotError::Disk { cause: DiskError::NoSpace, .. });
        assert!(is_full(build(&mut snapshots, last(2, 30), &parts(30)).unwrap_err()), "{room}");
        assert!(is_full(snapshots.receive(id, 0, &bytes).unwrap_err()), "{room}");
        assert_eq!((snapshots.is_building(), snapshots.newest()), (false, Some(newer)));
        assert_eq!(names(&mut disk).len(), 2, "{room}");
    }
    disk.set_capacity(Some(used + bytes.len() as u64));
    assert_eq!(build(&mut open(&mut disk), last(2, 30), &parts(30)), Ok(id));
}

#[test]
fn pieces_of_any_length_make_the_same_file() {
    let (id, bytes) = third();
    for length in [1, 7, 31, 33, 200, bytes.len()] {
        let (disk, _) = two();
        let mut snapshots = open(disk);
        let mut next_offset = 0;
        for piece in bytes.chunks(length) {
            let received = snapshots.receive(id, next_offset, piece).unwrap();
            next_offset += piece.len() as u64;
            let is_complete = next_offset == id.bytes;
            assert_eq!(received, Received { next_offset, is_complete });
        }
        assert_eq!(snapshots.newest(), Some(id));
        assert_eq!(load(&mut snapshots, id).unwrap(), parts(30));
        let again = Received { next_offset: id.bytes, is_complete: true };
        assert_eq!(snapshots.receive(id, 0, &bytes[..9]), Ok(again));
        let mut disk = snapshots.into_disk();
        disk.crash(|_, _| false);
        assert_eq!(disk.content("snapshot-000000000000001e-2").unwrap(), bytes);
        assert_eq!(names(&mut disk).len(), 2);
    }
}

#[test]
fn what_was_read_can_be_received_and_what_is_gone_cannot_be_read() {
    let (disk, [older, newer]) = two();
    let mut sender = open(disk);
    let mut receiver = open(MemoryDisk::default());
    let mut next_offset = 0;
    while next_offset < newer.bytes {
        let piece = sender.read(newer, next_offset, 100).unwrap();
        next_offset = receiver.receive(newer, next_offset, &piece).unwrap().next_offset;
    }
    assert_eq!(load(&mut receiver, newer).unwrap(), parts(20));
    for offset in [newer.bytes, u64::MAX] {
        assert_eq!(sender.read(newer, offset, 100).unwrap(), Bytes::new());
    }
    build(&mut sender, last(2, 30), &parts(30)).unwrap();
    assert_eq!(sender.read(older, 0, 100), Err(SnapshotError::Gone(older)));
    assert_eq!(load(&mut sender, older), Err(SnapshotError::Gone(older)));
    assert_eq!(sender.set_aside(older), Err(SnapshotError::Gone(older)));
    // Another content under the same name is not what was asked for.
    let other = SnapshotId { checksum: newer.checksum ^ 1, ..newer };
    assert_eq!(sender.read(other, 0, 100), Err(SnapshotError::Gone(other)));
}

#[test]
fn a_piece_that_was_not_asked_for_changes_nothing() {
    let (id, bytes) = third();
    let mut snapshots = open(MemoryDisk::default());
    let wanted = |next_offset| Ok(Received { next_offset, is_complete: false });
    assert_eq!(snapshots.receive(id, 10, &bytes[10..20]), wanted(0));
    assert_eq!(snapshots.receive(id, 0, &bytes[..100]), wanted(100));
    for at in [0, 50, 99, 101, 200] {
        assert_eq!(snapshots.receive(id, at as u64, &bytes[at..at + 50]), wanted(100));
    }
    assert_eq!(snapshots.receive(id, 100, b""), wanted(100));
    let too_long = SnapshotError::TooLong { bytes: id.bytes + 1, bytes_max: id.bytes };
    let piece = [&bytes[100..], b"x"].concat();
    assert_eq!(snapshots.receive(id, 100, &piece), Err(too_long));
    assert!(snapshots.receive(id, u64::MAX, b"xy").is_err());

    // Another snapshot begins with its first piece only.
    let (disk, [_, other]) = two();
    let other_bytes = disk.content("snapshot-0000000000000014-1").unwrap();
    assert_eq!(snapshots.receive(other, 100, &other_bytes[100..]), wanted(0));
    assert_eq!(snapshots.receive(id, 100, &bytes[100..150]), wanted(150));
    assert_eq!(snapshots.receive(other, 0, &other_bytes[..10]), wanted(10));
    assert_eq!(snapshots.receive(id, 150, &bytes[150..]), wanted(0));
    assert!(snapshots.receive(id, 0, &bytes).unwrap().is_complete);
    let newest = SnapshotError::NotNewer { newest: id };
    assert_eq!(snapshots.receive(other, 10, &other_bytes[10..]), Err(newest));
}

#[test]
fn a_snapshot_that_has_rotted_is_built_anew_in_its_place() {
    let (mut disk, [older, newer]) = two();
    let name = "snapshot-0000000000000014-1";
    let whole = disk.content(name).unwrap();
    let mut rotten = whole.clone();
    rotten[60] ^= 1;
    disk.replace(name, rotten);
    let mut snapshots = open(disk);
    assert_eq!(snapshots.newest(), Some(newer));
    assert_eq!(build(&mut snapshots, newer.last, &parts(20)), Ok(newer));
    assert_eq!(snapshots.all(), [newer, older]);
    assert_eq!(snapshots.into_disk().content(name), Some(whole));
}

#[test]
fn a_received_snapshot_takes_the_place_of_another_that_covers_the_same() {
    let (disk, [older, newer]) = two();
    let mut snapshots = open(disk);
    let mut other = open(MemoryDisk::default());
    let id = build(&mut other, newer.last, &parts(21)[1..]).unwrap();
    let bytes = other.read(id, 0, usize::MAX).unwrap();
    assert!(snapshots.receive(id, 0, &bytes).unwrap().is_complete);
    assert_eq!(snapshots.all(), [id, older]);
    assert_eq!(load(&mut snapshots, id).unwrap(), parts(21)[1..]);
    let mut snapshots = open(snapshots.into_disk());
    assert_eq!(snapshots.all(), [id, older]);
    assert_eq!(load(&mut snapshots, older).unwrap(), parts(10));
}

#[test]
fn an_id_that_does_not_name_the_file_is_refused() {
    let (id, bytes) = third();
    let (disk, [older, _]) = two();
    let mut snapshots = open(disk);
    let mut wrong = vec![
        SnapshotId { checksum: id.checksum ^ 1, ..id },
        SnapshotId { last: last(2, 31), ..id },
        SnapshotId { last: last(3, 30), ..id },
    ];
    wrong.extend((1..id.bytes).map(|bytes| SnapshotId { bytes, ..id }));
    for wrong in wrong {
        let length = usize::try_from(wrong.bytes).unwrap();
        let received = snapshots.receive(wrong, 0, &bytes[..length]);
        assert!(matches!(received, Err(SnapshotError::Damaged { .. })), "{wrong}: {received:?}");
        let wanted = Received { next_offset: 0, is_complete: false };
        assert_eq!(snapshots.receive(wrong, 0, b""), Ok(wanted), "{wrong}");
    }
    let nothing = SnapshotId { bytes: 0, ..id };
    assert!(!snapshots.receive(nothing, 0, b"").unwrap().is_complete);
    assert_eq!(snapshots.all().len(), 2);
    assert_eq!(snapshots.all()[1], older);
}

/// Loses power; which part of what was not synced survives is up to chance.
fn crash(disk: &mut MemoryDisk, chance: &mut Chance) {
    let kept_percent = [0, 30, 90, 100][usize::try_from(chance.below(4)).unwrap()];
    disk.crash(|_, _| chance.below(100) < kept_percent);
}

/// Lets `work` end after every number of changes of the disk, with a loss of power, and checks
/// that afterwards the snapshot before it or the new one is there, whole.
fn check_crashes(work: impl Fn(Failing<'_>) -> Result<(), SnapshotError>) {
    let (before, [_, newer]) = two();
    let (id, _) = third();
    let (mut old_count, mut new_count) = (0, 0);
    for calls_left in 0.. {
        let mut is_done = false;
        for seed in 0..20 {
            let mut chance = Chance(seed);
            let mut disk = before.clone();
            is_done = work(Failing { disk: &mut disk, calls_left }).is_ok();
            crash(&mut disk, &mut chance);
            // Opening may be cut short too.
            let calls_left = chance.below(4);
            drop(Snapshots::open(Failing { disk: &mut disk, calls_left }));
            crash(&mut disk, &mut chance);

            let (mut snapshots, found) = Snapshots::open(&mut disk).unwrap();
            assert_eq!(found.damaged, []);
            let found = found.newest.unwrap();
            assert!(found == id || (found == newer && !is_done), "{calls_left}: {found}");
            let expected = if found == id { parts(30) } else { parts(20) };
            assert_eq!(load(&mut snapshots, found).unwrap(), expected);
            assert!(snapshots.all().contains(&newer), "there is one to go back to");
            assert_eq!(names(&mut disk).len(), 2);
            if found == id { new_count += 1 } else { old_count += 1 }
        }
        if is_done {
            break;
        }
    }
    assert!(100 < old_count && 0 < new_count, "{old_count} {new_count}");
}

#[test]
fn a_crash_while_building_leaves_the_old_or_the_new_snapshot() {
    check_crashes(|disk| {
        let (mut snapshots, _) = Snapshots::open(disk)?;
        build(&mut snapshots, last(2, 30), &parts(30)).map(drop)
    });
}

#[test]
fn a_crash_while_receiving_leaves_the_old_or_the_new_snapshot() {
    let (id, bytes) = third();
    check_crashes(|disk| {
        let (mut snapshots, _) = Snapshots::open(disk)?;
        let mut next_offset = 0;
        for piece in bytes.chunks(300) {
            next_offset = snapshots.receive(id, next_offset, piece)?.next_offset;
        }
        assert_eq!(next_offset, id.bytes);
        Ok(())
    });
}

/// A disk whose first sync fails, as one does that has lost what was written.
struct Forgetful<'d> {
    disk: &'d mut MemoryDisk,
    has_failed: bool,
}

impl Disk for Forgetful<'_> {
    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        self.disk.list()
    }
    fn create(&mut self, name: &str, length: u64) -> Result<(), DiskError> {
        self.disk.create(name, length)
    }
    fn len(&mut self, name: &str) -> Result<u64, DiskError> {
        self.disk.len(name)
    }
    fn read(&mut self, name: &str, offset: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        self.disk.read(name, offset, into)
    }
    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.disk.write(name, offset, bytes)
    }
    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        self.disk.append(name, bytes)
    }
    fn sync(&mut self, name: &str) -> Result<(), DiskError> {
        if self.has_failed {
            return self.disk.sync(name);
        }
        self.has_failed = true;
        self.disk.crash(|_, _| false);
        Err(DiskError::Failed("input/output error".to_owned()))
    }
    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.disk.rename(from, to)
    }
    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        self.disk.remove(name)
    }
}

#[test]
fn after_a_failed_sync_the_file_is_thrown_away() {
    let (id, bytes) = third();
    for is_received in [false, true] {
        let (mut disk, [_, newer]) = two();
        let mut snapshots = open(Forgetful { disk: &mut disk, has_failed: false });
        let mut attempt = || {
            if is_received {
                return snapshots.receive(id, 0, &bytes).map(drop);
            }
            build(&mut snapshots, last(2, 30), &parts(30)).map(drop)
        };
        let error = attempt().unwrap_err();
        assert!(matches!(error, SnapshotError::Disk { action: "sync", .. }), "{error}");
        attempt().unwrap();
        assert_eq!(snapshots.all(), [id, newer]);
        assert_eq!(load(&mut snapshots, id).unwrap(), parts(30));
    }
}

#[test]
fn every_flipped_byte_every_cut_and_every_moved_chunk_is_noticed() {
    let (id, whole) = third();
    let name = "snapshot-000000000000001e-2";
    let mut damages = Vec::new();
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        damages.push((format!("byte {at} flipped"), flipped));
        damages.push((format!("cut at {at}"), whole[..at].to_vec()));
        damages.push((format!("byte {at} missing"), [&whole[..at], &whole[at + 1..]].concat()));
    }
    // The first chunk and the third have the same length.
    let (first, third) = (32..80, 90..138);
    let mut swapped = whole.clone();
    swapped[first.clone()].copy_from_slice(&whole[third.clone()]);
    swapped[third].copy_from_slice(&whole[first.clone()]);
    damages.push(("two chunks swapped".to_owned(), swapped));
    let mut zeroed = whole.clone();
    zeroed[first.clone()].fill(0);
    damages.push(("a chunk zeroed".to_owned(), zeroed));
    damages.push(("a chunk lost".to_owned(), [&whole[..32], &whole[80..]].concat()));
    damages.push(("something behind it".to_owned(), [&whole[..], b"x"].concat()));
    damages.push(("a whole chunk twice".to_owned(), [&whole[..80], &whole[32..]].concat()));

    let (before, [_, newer]) = two();
    let mut by_loading = 0;
    for (what, damaged) in damages {
        let mut disk = before.clone();
        disk.replace(name, damaged.clone());
        let (mut snapshots, found) = match Snapshots::open(&mut disk) {
            Ok(opened) => opened,
            Err(error) => panic!("{what}: {error}"),
        };
        if found.newest == Some(newer) {
            assert_eq!(found.damaged.len(), 1, "{what}");
        } else {
            by_loading += 1;
            let error = load(&mut snapshots, found.newest.unwrap()).expect_err(&what);
            let SnapshotError::Damaged { file, offset } = error else { panic!("{what}: {error}") };
            assert!(file == name && offset < whole.len() as u64, "{what}: {file} {offset}");
            snapshots.set_aside(found.newest.unwrap()).unwrap();
        }
        assert_eq!(snapshots.newest(), Some(newer), "{what}");
        assert_eq!(load(&mut snapshots, newer).unwrap(), parts(20));
        let aside = disk.content(&format!("damaged-{name}"));
        assert_eq!(aside, Some(damaged.clone()), "{what}");

        let mut receiver = open(before.clone());
        let received = receiver.receive(id, 0, &damaged);
        match received {
            Ok(received) => assert!(!received.is_complete, "{what}"),
            Err(SnapshotError::Damaged { .. }) => {
                let wanted = Received { next_offset: 0, is_complete: false };
                assert_eq!(receiver.receive(id, 0, b""), Ok(wanted), "{what}");
            }
            Err(error) => assert!(matches!(error, SnapshotError::TooLong { .. }), "{what}"),
        }
        assert_eq!(receiver.newest(), Some(newer), "{what}");
    }
    assert!(700 < by_loading, "most of the file is content: {by_loading}");
}

#[test]
fn whole_chunks_of_another_snapshot_are_not_loaded_for_this_one() {
    let (mut disk, [_, newer]) = two();
    let name = "snapshot-0000000000000014-1";
    let mut snapshots = open(&mut disk);
    let mut reader = snapshots.open_parts(newer).unwrap();
    // Covers the same and has the same length.
    let mut other = open(MemoryDisk::default());
    let other_id = build(&mut other, newer.last, &parts(21)).unwrap();
    assert_eq!(other_id.bytes, newer.bytes);
    let other_bytes = other.into_disk().content(name).unwrap();

    let bytes = disk.content(name).unwrap();
    let trailer = bytes.len() - 32;
    disk.replace(name, [&other_bytes[..trailer], &bytes[trailer..]].concat());
    let mut snapshots = open(&mut disk);
    assert_eq!(snapshots.newest(), Some(newer));
    let (file, offset) = (name.to_owned(), trailer as u64);
    assert_eq!(load(&mut snapshots, newer), Err(SnapshotError::Damaged { file, offset }));

    // If it was replaced as a whole, what was being loaded is gone.
    disk.replace(name, other_bytes);
    let mut snapshots = open(&mut disk);
    assert_eq!(snapshots.newest(), Some(other_id));
    assert_eq!(snapshots.next_part(&mut reader), Err(SnapshotError::Gone(newer)));
    assert_eq!(load(&mut snapshots, other_id).unwrap(), parts(21));
}

#[test]
fn a_snapshot_of_another_version_is_left_alone() {
    let (mut disk, _) = two();
    let name = "snapshot-0000000000000014-1";
    let mut bytes = disk.content(name).unwrap();
    bytes[8] = 2;
    let crc = crc32c::crc32c(&bytes[4..32]);
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
    disk.replace(name, bytes);
    disk.create("snapshot-new", 7).unwrap();
    let before = names(&mut disk);
    let error = Snapshots::open(&mut disk).map(drop).unwrap_err();
    assert_eq!(error, SnapshotError::Format { file: name.to_owned(), found: 2 });
    assert_eq!(names(&mut disk), before);
}

#[test]
fn the_bytes_of_version_1_never_change() {
    let (id, bytes) = third();
    assert_eq!((id.bytes, bytes.len()), (878, 878));
    assert_eq!(bytes[4..32], *b"KVSN\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x1e\0\0\0\0\0\0\0");
    assert_eq!(bytes[846 + 4..846 + 16], *b"KVSE\x04\0\0\0\0\0\0\0");
    assert_eq!((id.checksum, crc32c::crc32c(&bytes)), (0x1d90_a432, 0xdd6e_081d));
}
