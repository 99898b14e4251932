//! Inputs that are like others, and unlike them somewhere.

/// The longest input. Units: bytes.
const INPUT_BYTES_MAX: usize = 16 * 1024;

/// Numbers at which something may end.
const BOUNDS: [u64; 14] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x1000,
    0xffff,
    0x10000,
    0x40_0000,
    0x7fff_ffff,
    0xffff_ffff,
    1 << 53,
    i64::MAX as u64,
    u64::MAX,
];

/// Numbers that look random, from a seed (xorshift, Marsaglia 2003).
#[derive(Clone, Debug)]
pub(super) struct Numbers(u64);

impl Numbers {
    pub(super) fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 16).unwrap() % bound
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[1]
    }
}

/// A child of one input, or of two; `words` are what such inputs are made of.
pub(super) fn mutated(pool: &[Vec<u8>], words: &[&[u8]], numbers: &mut Numbers) -> Vec<u8> {
    let mut input = pool[numbers.below(pool.len())].clone();
    if numbers.below(4) == 0 {
        let other = &pool[numbers.below(pool.len())];
        let (at, from) = (numbers.below(input.len() + 1), numbers.below(other.len() + 1));
        input.truncate(at);
        input.extend_from_slice(&other[from..]);
    }
    for _ in 0..1 + numbers.below(4) {
        once(&mut input, words, numbers);
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

fn once(input: &mut Vec<u8>, words: &[&[u8]], numbers: &mut Numbers) {
    let at = numbers.below(input.len() + 1);
    let length = numbers.below(8).min(input.len() - at);
    match numbers.below(10) {
        0 if at < input.len() => input[at] ^= 1 << numbers.below(8),
        1 if at < input.len() => input[at] = numbers.byte(),
        2 => drop(input.drain(at..at + length)),
        3 => input.truncate(at),
        4 => {
            let part = input[at..at + length].to_vec();
            let to = numbers.below(input.len() + 1);
            drop(input.splice(to..to, part));
        }
        5 => {
            let count = numbers.below(40);
            let part = input[at..at + length].repeat(count);
            drop(input.splice(at..at, part));
        }
        6 => {
            let bytes = BOUNDS[numbers.below(BOUNDS.len())].to_be_bytes();
            let width = [1, 2, 4, 8][numbers.below(4)];
            let end = (at + width).min(input.len());
            drop(input.splice(at..end, bytes[8 - width..].iter().copied()));
        }
        7 => {
            let near = BOUNDS[numbers.below(BOUNDS.len())].wrapping_add(numbers.next() % 3);
            let digits = near.wrapping_sub(1).to_string();
            let old = input[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            drop(input.splice(at..at + old, digits.into_bytes()));
        }
        _ => {
            let word = words[numbers.below(words.len())];
            let end = at + numbers.below(2) * length;
            drop(input.splice(at..end, word.iter().copied()));
        }
    }
}

/// The same bytes as they may arrive: in pieces of at least one byte.
pub(super) fn pieces<'i>(mut rest: &'i [u8], numbers: &mut Numbers) -> Vec<&'i [u8]> {
    let (mut pieces, longest) = (Vec::new(), [1, 3, 20, 1_000_000][numbers.below(4)]);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(1 + numbers.below(rest.len().min(longest)));
        pieces.push(piece);
        rest = after;
    }
    pieces
}
