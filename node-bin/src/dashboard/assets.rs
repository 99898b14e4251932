//! The files of the page, in the program itself: it needs no file beside it and no other host.

/// The files by the name behind `/ui/`, with what they are.
const FILES: &[Asset] = &[];

/// A file of the page.
#[derive(Debug)]
pub(crate) struct Asset {
    name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) bytes: &'static [u8],
}

/// The file of this name.
pub(crate) fn find(name: &str) -> Option<&'static Asset> {
    FILES.iter().find(|file| file.name == name)
}
