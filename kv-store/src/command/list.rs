//! A list that costs no allocation while it is short.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// There is room for so many elements at once when there are two.
const MANY: usize = 64;

/// A row of elements of which there is usually one: most deletes name one key and most range
/// queries find one. The second element moves both to the heap.
#[derive(Clone, Debug)]
pub enum List<T> {
    /// No element or one.
    Few(Option<T>),
    /// Any number of elements.
    Many(Vec<T>),
}

impl<T> List<T> {
    /// The list without elements.
    #[must_use]
    pub const fn new() -> Self {
        Self::Few(None)
    }

    /// Adds an element at the end.
    pub fn push(&mut self, element: T) {
        match self {
            Self::Few(none @ None) => *none = Some(element),
            Self::Few(one) => {
                let mut elements = Vec::with_capacity(MANY);
                elements.extend(one.take());
                elements.push(element);
                *self = Self::Many(elements);
            }
            Self::Many(elements) => elements.push(element),
        }
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Few(element) => element.as_slice(),
            Self::Many(elements) => elements,
        }
    }
}

impl<T> FromIterator<T> for List<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        let mut list = Self::new();
        elements.into_iter().for_each(|element| list.push(element));
        list
    }
}

/// Lists are equal if their elements are, wherever they lie.
impl<T: PartialEq> PartialEq for List<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for List<T> {}

impl<T: Serialize> Serialize for List<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

/// Grows as elements arrive: the length that the input claims reserves nothing.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Elements(PhantomData))
    }
}

struct Elements<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Elements<T> {
    type Value = List<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<List<T>, A::Error> {
        let mut list = List::new();
        while let Some(element) = elements.next_element()? {
            list.push(element);
        }
        Ok(list)
    }
}
