//! The files of the page, in the program itself: it needs no file beside it and no other host.

/// A file of the page.
#[derive(Debug)]
pub(crate) struct Asset {
    name: &'static str,
    pub(crate) bytes: &'static [u8],
}

/// Files beside this one, by name.
macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(Asset { name: $name, bytes: include_bytes!(concat!("page/", $name)) }),*]
    };
}

/// Every file of the page.
const FILES: &[Asset] = files![
    "charts.js",
    "dom.js",
    "flights.js",
    "format.js",
    "icon.svg",
    "index.html",
    "journal.js",
    "key_view.js",
    "keyboard.js",
    "keys.js",
    "lessons.js",
    "lessons_classic.js",
    "lessons_hard.js",
    "live.js",
    "logs.js",
    "main.js",
    "members.js",
    "menu.js",
    "metrics.js",
    "model.js",
    "node_figure.js",
    "parts.css",
    "play.js",
    "ring.js",
    "ring_layout.js",
    "stage.js",
    "store.js",
    "style.css",
    "theme.js",
    "toast.js",
];

/// What files are, by the end of their names.
const KINDS: [(&str, &str); 4] = [
    (".html", "text/html; charset=utf-8"),
    (".css", "text/css; charset=utf-8"),
    (".js", "text/javascript; charset=utf-8"),
    (".svg", "image/svg+xml"),
];

/// The file of this name.
pub(crate) fn find(name: &str) -> Option<&'static Asset> {
    FILES.iter().find(|file| file.name == name)
}

impl Asset {
    /// What a browser is to take it for.
    pub(crate) fn kind(&self) -> &'static str {
        let kind = KINDS.iter().find(|(end, _)| self.name.ends_with(end));
        kind.map_or("application/octet-stream", |(_, kind)| kind)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_the_page_is_in_the_program_and_of_a_known_kind() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dashboard/page");
        let mut there: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        there.sort();
        let mut known: Vec<&str> = FILES.iter().map(|file| file.name).collect();
        known.sort_unstable();
        assert_eq!(there, known);
        for file in FILES {
            assert_ne!(file.kind(), "application/octet-stream", "{}", file.name);
        }
    }

    #[test]
    fn the_page_loads_nothing_that_the_program_does_not_serve() {
        let index = std::str::from_utf8(find("index.html").unwrap().bytes).unwrap();
        let mut rest = index;
        while let Some((_, behind)) = rest.split_once("/ui/") {
            let end = behind.find(['"', '\'', '#', '?']).unwrap();
            assert!(find(&behind[..end]).is_some(), "{}", &behind[..end]);
            rest = &behind[end..];
        }
        for inline in ["<style", " style=", "onclick=", "http://", "https://"] {
            assert!(!index.contains(inline), "{inline}");
        }
    }
}
