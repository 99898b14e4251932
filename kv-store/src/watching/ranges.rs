//! Ranges of keys, among which those that hold a key are found without looking at the others.
//!
//! A treap: a search tree by where ranges begin, a heap by priorities that look drawn, so that it
//! stays shallow. Each node knows which range below it, or of its own, ends last.

use std::cmp::Ordering;
use std::sync::Arc;

/// Stands for no node.
const NONE: u32 = u32::MAX;

/// A range of keys, and what it is wanted for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// The first key that can be in the range.
    pub(super) from: Box<[u8]>,
    /// The first key behind it; `None` if there is none.
    pub(super) to: Option<Box<[u8]>>,
    /// The item that is wanted of each key, if only one is.
    pub(super) item: Option<Box<[u8]>>,
}

impl Span {
    fn order(&self, other: &Self) -> Ordering {
        self.from
            .cmp(&other.from)
            .then_with(|| end_order(self.to.as_deref(), other.to.as_deref()))
            .then_with(|| self.item.cmp(&other.item))
    }
}

/// Which of two ends comes first; no end comes last.
fn end_order(one: Option<&[u8]>, other: Option<&[u8]>) -> Ordering {
    match (one, other) {
        (Some(one), Some(other)) => one.cmp(other),
        (None, None) => Ordering::Equal,
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
    }
}

#[derive(Debug)]
struct Node {
    span: Arc<Span>,
    value: u32,
    priority: u64,
    left: u32,
    right: u32,
    /// The node with the last end of this tree.
    farthest: u32,
}

/// A map from spans to numbers.
#[derive(Debug)]
pub(super) struct Ranges {
    nodes: Vec<Node>,
    free: Vec<u32>,
    root: u32,
    made: u64,
}

impl Default for Ranges {
    fn default() -> Self {
        Self { nodes: Vec::new(), free: Vec::new(), root: NONE, made: 0 }
    }
}

impl Ranges {
    /// The number of a span.
    pub(super) fn get_mut(&mut self, span: &Span) -> Option<&mut u32> {
        let mut at = self.root;
        while at != NONE {
            let node = self.node(at);
            match span.order(&node.span) {
                Ordering::Equal => return Some(&mut self.nodes[index(at)].value),
                Ordering::Less => at = node.left,
                Ordering::Greater => at = node.right,
            }
        }
        None
    }

    /// Adds a span, which is not there yet.
    pub(super) fn insert(&mut self, span: Arc<Span>, value: u32) {
        self.made += 1;
        let priority = mix(self.made);
        let node = Node { span, value, priority, left: NONE, right: NONE, farthest: NONE };
        let at = if let Some(at) = self.free.pop() {
            self.nodes[index(at)] = node;
            at
        } else {
            self.nodes.push(node);
            u32::try_from(self.nodes.len() - 1).expect("watches are counted in 32 bits")
        };
        self.nodes[index(at)].farthest = at;
        self.root = self.insert_at(self.root, at);
    }

    /// Removes a span, if it is there.
    pub(super) fn remove(&mut self, span: &Span) {
        self.root = self.remove_at(self.root, span);
    }

    /// Shows the numbers of all spans that hold `key`, in the order of where they begin.
    pub(super) fn visit(&self, key: &[u8], mut visit: impl FnMut(&Span, u32)) {
        let mut stack = Vec::new();
        let mut at = self.root;
        loop {
            // Nothing below a node reaches the key if what ends last does not.
            while at != NONE && self.reaches(at, key) {
                stack.push(at);
                at = self.node(at).left;
            }
            let Some(top) = stack.pop() else { return };
            let node = self.node(top);
            if key < &*node.span.from {
                // What is on the right begins even later.
                at = NONE;
                continue;
            }
            if node.span.to.as_deref().is_none_or(|to| key < to) {
                visit(&node.span, node.value);
            }
            at = node.right;
        }
    }

    fn reaches(&self, at: u32, key: &[u8]) -> bool {
        let farthest = self.node(self.node(at).farthest);
        farthest.span.to.as_deref().is_none_or(|to| key < to)
    }

    fn node(&self, at: u32) -> &Node {
        &self.nodes[index(at)]
    }

    fn insert_at(&mut self, root: u32, new: u32) -> u32 {
        if root == NONE {
            return new;
        }
        if self.node(root).priority < self.node(new).priority {
            let span = self.node(new).span.clone();
            let (left, right) = self.split(root, &span);
            self.join(new, left, right);
            return new;
        }
        let (left, right) = (self.node(root).left, self.node(root).right);
        let span = self.node(new).span.clone();
        match span.order(&self.node(root).span) {
            Ordering::Less => {
                let left = self.insert_at(left, new);
                self.join(root, left, right);
            }
            Ordering::Equal | Ordering::Greater => {
                let right = self.insert_at(right, new);
                self.join(root, left, right);
            }
        }
        root
    }

    fn remove_at(&mut self, root: u32, span: &Span) -> u32 {
        if root == NONE {
            return NONE;
        }
        let (left, right) = (self.node(root).left, self.node(root).right);
        match span.order(&self.node(root).span) {
            Ordering::Equal => {
                self.free.push(root);
                return self.merge(left, right);
            }
            Ordering::Less => {
                let left = self.remove_at(left, span);
                self.join(root, left, right);
            }
            Ordering::Greater => {
                let right = self.remove_at(right, span);
                self.join(root, left, right);
            }
        }
        root
    }

    /// Parts a tree into what is before a span and what is behind it.
    fn split(&mut self, root: u32, span: &Span) -> (u32, u32) {
        if root == NONE {
            return (NONE, NONE);
        }
        let (left, right) = (self.node(root).left, self.node(root).right);
        if span.order(&self.node(root).span) == Ordering::Less {
            let (before, behind) = self.split(left, span);
            self.join(root, behind, right);
            (before, root)
        } else {
            let (before, behind) = self.split(right, span);
            self.join(root, left, before);
            (root, behind)
        }
    }

    /// Makes one tree of two, of which the first is before the second.
    fn merge(&mut self, left: u32, right: u32) -> u32 {
        if left == NONE || right == NONE {
            return if left == NONE { right } else { left };
        }
        if self.node(right).priority < self.node(left).priority {
            let (inner, outer) = (self.node(left).right, self.node(left).left);
            let merged = self.merge(inner, right);
            self.join(left, outer, merged);
            left
        } else {
            let (inner, outer) = (self.node(right).left, self.node(right).right);
            let merged = self.merge(left, inner);
            self.join(right, merged, outer);
            right
        }
    }

    /// Gives a node its children.
    fn join(&mut self, at: u32, left: u32, right: u32) {
        let end = |at: u32| self.node(at).span.to.as_deref();
        let mut farthest = at;
        for child in [left, right] {
            if child != NONE {
                let candidate = self.node(child).farthest;
                if end_order(end(farthest), end(candidate)) == Ordering::Less {
                    farthest = candidate;
                }
            }
        }
        let node = &mut self.nodes[index(at)];
        (node.left, node.right, node.farthest) = (left, right, farthest);
    }
}

fn index(at: u32) -> usize {
    usize::try_from(at).expect("this program needs 32-bit addresses")
}

/// SplitMix64: equal on every node, and without a pattern that the order of spans could have.
fn mix(number: u64) -> u64 {
    let mut bits = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: u8, to: Option<u8>) -> Arc<Span> {
        let end = to.map(|to| Box::from([to]));
        Arc::new(Span { from: Box::from([from]), to: end, item: None })
    }

    #[test]
    fn the_spans_that_hold_a_key_are_found_as_by_looking_at_all() {
        let (mut ranges, mut all) = (Ranges::default(), Vec::new());
        for step in 0..2_000u32 {
            let drawn = mix(u64::from(step));
            let [from, length, is_removal, ..] = drawn.to_le_bytes();
            let to = (length != 0).then(|| from.saturating_add(length % 40));
            let new = span(from, to);
            let is_there = all.iter().any(|(known, _): &(Arc<Span>, u32)| *known == new);
            assert_eq!(ranges.get_mut(&new).is_some(), is_there);
            if is_removal % 3 == 0 && !all.is_empty() {
                let place = usize::from(is_removal) % all.len();
                let (gone, _) = all.swap_remove(place);
                ranges.remove(&gone);
            } else if !is_there {
                ranges.insert(new.clone(), step);
                all.push((new, step));
            }
            let key = [drawn.to_le_bytes()[4]];
            let mut found = Vec::new();
            ranges.visit(&key, |_, value| found.push(value));
            found.sort_unstable();
            let holds = |span: &Span| {
                *span.from <= key[..] && span.to.as_deref().is_none_or(|to| key[..] < *to)
            };
            let mut expected: Vec<u32> =
                all.iter().filter(|(span, _)| holds(span)).map(|(_, value)| *value).collect();
            expected.sort_unstable();
            assert_eq!(found, expected, "at step {step}");
        }
    }

    #[test]
    fn a_key_in_one_of_many_ranges_is_found_by_looking_at_few() {
        let mut ranges = Ranges::default();
        let key = |number: u32| number.to_be_bytes();
        for number in 0..10_000u32 {
            let (from, to) = (key(number).into(), Some(key(number + 1).into()));
            ranges.insert(Arc::new(Span { from, to, item: None }), number);
        }
        let (mut depth, mut level) = (0, vec![ranges.root]);
        while !level.is_empty() {
            depth += 1;
            let children = |at: &u32| [ranges.node(*at).left, ranges.node(*at).right];
            level = level.iter().flat_map(children).filter(|at| *at != NONE).collect();
        }
        assert!(depth < 50, "the tree is {depth} deep");
        let mut found = Vec::new();
        ranges.visit(&key(7_777), |_, value| found.push(value));
        assert_eq!(found, [7_777]);
    }
}
