//! The bytes of all versions, in slots of pages: what they take is their length, rounded up to
//! the next size that there are slots of, and freeing one reads none of the memory around it.
//!
//! The allocator of the system asks for a line of memory before each piece and one behind it
//! whenever one is freed, and for a place in its lists. Compaction frees versions by the million,
//! which lie anywhere, and most of what that costs is waiting for those lines. Here a slot that
//! is free is a bit beside its page.

use std::fmt;

/// The longest bytes that lie in a slot; longer ones have an allocation of their own. Units:
/// bytes.
const SLOT_BYTES_MAX: usize = 4_096;

/// Sizes of slots.
const CLASSES: usize = 112;

/// Slots of a page, at most, as a power of two.
const PAGE_SLOTS_SHIFT_MAX: u32 = 8;

/// A page is no longer than this. Units: bytes.
const PAGE_BYTES_MAX: usize = 72 * 1024;

/// As much as all pages may have free whatever is taken. Units: bytes.
const FREE_BYTES: usize = 16 * 1024 * 1024;

const WORDS: usize = (1 << PAGE_SLOTS_SHIFT_MAX) / 64;

/// Where some bytes lie, and how many they are. Without bytes it lies nowhere.
///
/// It stands for what it names, so there is one of each: whoever drops it gives the bytes back
/// before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    at: u32,
    length: u32,
}

/// Bytes of all lengths.
#[derive(Clone)]
pub(super) struct Heap {
    /// One for each size, the smallest first.
    classes: Vec<Class>,
    long: Vec<Box<[u8]>>,
    /// Those of `long` that are to be used again.
    free_long: Vec<u32>,
    /// Of all pages. Units: bytes.
    page_bytes: usize,
    /// Of all slots that are taken. Units: bytes.
    taken_bytes: usize,
}

/// The slots of one size.
#[derive(Clone)]
struct Class {
    slot_bytes: usize,
    /// How many slots a page has, as a power of two.
    shift: u32,
    /// Of each page its bytes; none while nobody uses any of its slots.
    pages: Vec<Box<[u8]>>,
    /// Of each page which slots are taken.
    marks: Vec<Marks>,
    /// The pages with a free slot.
    open: Vec<u32>,
}

/// Which slots of a page are taken.
#[derive(Clone, Copy, Default)]
struct Marks {
    taken: [u64; WORDS],
    count: u32,
}

impl Spot {
    /// That of no bytes.
    pub(super) const NOWHERE: Self = Self { at: 0, length: 0 };

    /// How many bytes lie here.
    pub(super) fn length(&self) -> usize {
        self.length as usize
    }
}

impl Heap {
    /// Keeps bytes, of which there are two parts.
    pub(super) fn add(&mut self, head: &[u8], rest: &[u8]) -> Spot {
        let length = head.len() + rest.len();
        let spot_length = u32::try_from(length).expect("a value is shorter than an entry");
        if length == 0 {
            return Spot::NOWHERE;
        }
        let at = if length <= SLOT_BYTES_MAX {
            let class = &mut self.classes[class_of(length)];
            let (at, is_new) = class.take();
            self.taken_bytes += class.slot_bytes;
            self.page_bytes += if is_new { class.page_bytes() } else { 0 };
            let (ours, theirs) = class.slot_mut(at)[..length].split_at_mut(head.len());
            ours.copy_from_slice(head);
            theirs.copy_from_slice(rest);
            at
        } else {
            self.add_long([head, rest].concat().into_boxed_slice())
        };
        Spot { at, length: spot_length }
    }

    fn add_long(&mut self, bytes: Box<[u8]>) -> u32 {
        if let Some(at) = self.free_long.pop() {
            self.long[at as usize] = bytes;
            return at;
        }
        self.long.push(bytes);
        u32::try_from(self.long.len() - 1).expect("memory ends before")
    }

    /// The bytes that lie somewhere.
    pub(super) fn get(&self, spot: &Spot) -> &[u8] {
        let length = spot.length();
        match length {
            0 => &[],
            1..=SLOT_BYTES_MAX => &self.classes[class_of(length)].slot(spot.at)[..length],
            _ => &self.long[spot.at as usize],
        }
    }

    /// Gives bytes back, which nobody may ask for from then on.
    ///
    /// Panics: if that was done before.
    pub(super) fn remove(&mut self, spot: &Spot) {
        match spot.length() {
            0 => {}
            length @ 1..=SLOT_BYTES_MAX => {
                let class = &mut self.classes[class_of(length)];
                let let_go = class.give_back(spot.at);
                self.taken_bytes -= class.slot_bytes;
                self.page_bytes -= if let_go { class.page_bytes() } else { 0 };
            }
            _ => {
                let bytes = std::mem::take(&mut self.long[spot.at as usize]);
                assert!(!bytes.is_empty(), "bytes are given back once");
                self.free_long.push(spot.at);
            }
        }
    }

    /// Whether pages have more free than is taken, because what lay in them has gone from here and
    /// there: only what a page has last of all frees it.
    pub(super) fn is_wasteful(&self) -> bool {
        2 * self.taken_bytes + FREE_BYTES < self.page_bytes
    }

    /// Moves bytes from a page that is half empty into one that is used next.
    pub(super) fn tidy(&mut self, spot: &mut Spot) {
        let length = spot.length();
        if !(1..=SLOT_BYTES_MAX).contains(&length)
            || !self.classes[class_of(length)].is_half_empty(spot.at)
        {
            return;
        }
        let bytes = self.get(spot).to_vec();
        self.remove(spot);
        *spot = self.add(&bytes, b"");
    }

    /// How many pieces are kept.
    pub(super) fn count(&self) -> usize {
        let marks = self.classes.iter().flat_map(|class| &class.marks);
        let slots: u32 = marks.map(|marks| marks.count).sum();
        (slots as usize + self.long.len()).saturating_sub(self.free_long.len())
    }

    /// Frees up to so many pages, or long bytes, of a heap that nobody asks for anything any more;
    /// returns how many.
    pub(super) fn free(&mut self, count: usize) -> usize {
        let pages = self.classes.iter_mut().map(|class| &mut class.pages);
        let mut freed = 0;
        for pieces in pages.chain([&mut self.long]) {
            let left = pieces.len().saturating_sub(count - freed);
            freed += pieces.drain(left..).count();
        }
        freed
    }
}

impl Default for Heap {
    fn default() -> Self {
        let classes = (0..CLASSES).map(Class::new).collect();
        let (long, free_long) = (Vec::new(), Vec::new());
        Self { classes, long, free_long, page_bytes: 0, taken_bytes: 0 }
    }
}

impl fmt::Debug for Heap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Heap({} pieces)", self.count())
    }
}

impl Class {
    fn new(number: usize) -> Self {
        let slot_bytes = slot_bytes_of(number);
        let shift = (PAGE_BYTES_MAX / slot_bytes).ilog2().min(PAGE_SLOTS_SHIFT_MAX);
        Self { slot_bytes, shift, pages: Vec::new(), marks: Vec::new(), open: Vec::new() }
    }

    fn parts(&self, at: u32) -> (usize, u32) {
        ((at >> self.shift) as usize, at & ((1 << self.shift) - 1))
    }

    fn slot(&self, at: u32) -> &[u8] {
        let (page, slot) = self.parts(at);
        &self.pages[page][slot as usize * self.slot_bytes..][..self.slot_bytes]
    }

    fn slot_mut(&mut self, at: u32) -> &mut [u8] {
        let (page, slot) = self.parts(at);
        &mut self.pages[page][slot as usize * self.slot_bytes..][..self.slot_bytes]
    }

    fn page_bytes(&self) -> usize {
        self.slot_bytes << self.shift
    }

    /// Whether at most half of the page of a slot is taken, and it is not the page used next.
    fn is_half_empty(&self, at: u32) -> bool {
        let page = at >> self.shift;
        2 * self.marks[page as usize].count <= 1 << self.shift && self.open.last() != Some(&page)
    }

    /// A slot that was free, and is not from then on; and whether its page is new.
    fn take(&mut self) -> (u32, bool) {
        let page = self.open.last().copied().unwrap_or_else(|| {
            self.pages.push(Box::default());
            self.marks.push(Marks::default());
            let page = u32::try_from(self.pages.len() - 1).expect("memory ends before");
            self.open.push(page);
            page
        });
        let (bytes, marks) = (&mut self.pages[page as usize], &mut self.marks[page as usize]);
        let is_new = bytes.is_empty();
        if is_new {
            *bytes = vec![0; self.slot_bytes << self.shift].into_boxed_slice();
        }
        let slot = marks.take_first();
        if marks.count == 1 << self.shift {
            self.open.pop();
        }
        let first = page.checked_mul(1 << self.shift).expect("memory ends before");
        (first | slot, is_new)
    }

    /// Takes a slot back. Returns whether a page was freed.
    fn give_back(&mut self, at: u32) -> bool {
        let (page, slot) = self.parts(at);
        let marks = &mut self.marks[page];
        let was_full = marks.count == 1 << self.shift;
        marks.give_back(slot);
        let number = at >> self.shift;
        if was_full {
            let last = self.open.last().copied();
            self.open.push(number);
            last.is_some_and(|last| self.let_go(last))
        } else {
            // The page that is used next stays, so that one slot that comes and goes does not
            // ask for a page each time.
            self.open.last() != Some(&number) && self.let_go(number)
        }
    }

    /// Frees the bytes of a page of which nobody uses any slot. Returns whether it did.
    fn let_go(&mut self, page: u32) -> bool {
        let bytes = &mut self.pages[page as usize];
        let is_unused = self.marks[page as usize].count == 0 && !bytes.is_empty();
        if is_unused {
            *bytes = Box::default();
        }
        is_unused
    }
}

impl Marks {
    fn take_first(&mut self) -> u32 {
        let words = self.taken.iter_mut().zip((0..).step_by(64));
        let (word, first) =
            words.into_iter().find(|(word, _)| **word != u64::MAX).expect("the page is open");
        let bit = word.trailing_ones();
        *word |= 1 << bit;
        self.count += 1;
        first + bit
    }

    fn give_back(&mut self, slot: u32) {
        let (word, bit) = (&mut self.taken[slot as usize / 64], 1 << (slot % 64));
        assert!(*word & bit != 0, "bytes are given back once");
        *word &= !bit;
        self.count -= 1;
    }
}

/// The class of bytes of this length. Slots are at most an eighth of a word, or a sixteenth of
/// themselves, longer than what lies in them.
fn class_of(length: usize) -> usize {
    match length {
        0..=512 => length.saturating_sub(1) / 8,
        513..=1_024 => 64 + (length - 513) / 32,
        1_025..=2_048 => 80 + (length - 1_025) / 64,
        _ => 96 + (length - 2_049) / 128,
    }
}

fn slot_bytes_of(class: usize) -> usize {
    match class {
        0..64 => 8 * (class + 1),
        64..80 => 512 + 32 * (class - 63),
        80..96 => 1_024 + 64 * (class - 79),
        _ => 2_048 + 128 * (class - 95),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn slots_are_hardly_longer_than_what_lies_in_them() {
        for length in 1..=SLOT_BYTES_MAX {
            let slot_bytes = slot_bytes_of(class_of(length));
            assert!(length <= slot_bytes, "{length} bytes lie in {slot_bytes}");
            assert!(slot_bytes < length + 8 + length / 16, "{length} bytes lie in {slot_bytes}");
        }
        assert_eq!(class_of(SLOT_BYTES_MAX), CLASSES - 1);
        let pages = (0..CLASSES).map(Class::new).map(|class| class.slot_bytes << class.shift);
        assert!(pages.max().is_some_and(|longest| longest <= PAGE_BYTES_MAX));
    }

    fn page_bytes(heap: &Heap) -> usize {
        heap.classes.iter().flat_map(|class| &class.pages).map(|page| page.len()).sum()
    }

    #[test]
    fn bytes_stay_as_they_are_until_they_are_given_back() {
        let (mut heap, mut known) = (Heap::default(), BTreeMap::new());
        let mut random = 1u64;
        for step in 1..200_000u64 {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(step);
            let (number, kind) = ((random >> 33) % 3_000, (random >> 20) % 16);
            if let Some((spot, bytes)) = known.remove(&number) {
                let bytes: Vec<u8> = bytes;
                assert_eq!(heap.get(&spot), bytes);
                heap.remove(&spot);
                continue;
            }
            let length = match kind {
                0 => usize::try_from((random >> 40) % 10_000).unwrap(),
                1 => 0,
                _ => usize::try_from(255 + (random >> 40) % 20).unwrap(),
            };
            let bytes: Vec<u8> = (step..).map(|n| n.to_le_bytes()[0]).take(length).collect();
            let (head, rest) = bytes.split_at(length.min(3));
            known.insert(number, (heap.add(head, rest), bytes));
            if step == 100_000 {
                assert_eq!(heap.count(), known.values().filter(|it| !it.1.is_empty()).count());
            }
        }
        let copy = heap.clone();
        for (spot, bytes) in known.values() {
            assert_eq!(heap.get(spot), bytes);
            assert_eq!(copy.get(spot), bytes);
            heap.remove(spot);
        }
        assert_eq!(format!("{heap:?}"), "Heap(0 pieces)");
        let in_use = |class: &Class| class.pages.iter().filter(|page| !page.is_empty()).count();
        assert!(heap.classes.iter().all(|class| in_use(class) <= 1), "pages without use are freed");
        let mut copy = copy;
        let mut calls = 0;
        while copy.free(10) == 10 {
            calls += 1;
        }
        assert!(1 < calls && page_bytes(&copy) == 0 && copy.long.is_empty());
    }

    #[test]
    fn what_is_left_here_and_there_is_moved_together() {
        let mut heap = Heap::default();
        let mut random = 1u64;
        let (mut spots, mut lost) = (Vec::new(), Vec::new());
        for number in 0..400_000u64 {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(number);
            let spot = heap.add(&number.to_le_bytes(), &[7; 120]);
            if random >> 33 & 15 == 0 { spots.push((number, spot)) } else { lost.push(spot) }
        }
        lost.iter().for_each(|spot| heap.remove(spot));
        assert_eq!(heap.page_bytes, page_bytes(&heap));
        assert!(heap.is_wasteful(), "{} of {}", heap.taken_bytes, heap.page_bytes);
        spots.iter_mut().for_each(|(_, spot)| heap.tidy(spot));
        assert!(!heap.is_wasteful(), "{} of {}", heap.taken_bytes, heap.page_bytes);
        assert_eq!(heap.page_bytes, page_bytes(&heap));
        assert!(page_bytes(&heap) < 3 * heap.taken_bytes);
        for (number, spot) in &spots {
            assert_eq!(heap.get(spot)[..8], number.to_le_bytes());
            heap.remove(spot);
        }
        assert_eq!((heap.count(), heap.taken_bytes), (0, 0));
        assert_eq!(heap.page_bytes, page_bytes(&heap));
    }

    #[test]
    fn slots_are_used_again() {
        let mut heap = Heap::default();
        let mut spots: Vec<Spot> = (0..10_000).map(|_| heap.add(b"", &[7; 260])).collect();
        let bytes = page_bytes(&heap);
        for _ in 0..10 {
            spots.iter().step_by(3).for_each(|spot| heap.remove(spot));
            spots.iter_mut().step_by(3).for_each(|spot| *spot = heap.add(&[1], &[8; 258]));
        }
        assert_eq!(page_bytes(&heap), bytes);
    }
}
