//! The public face: every name that a program can use, used as a program uses it, a file for each room. A name that
//! `lib.rs` comes to export has to be used here, too: so the face does not grow unseen.

mod error;
mod extract;
mod limits;
mod observe;
mod prelude;
mod root;
mod schedule;
mod supervise;
mod time;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

#[derive(mycelia::Message)]
#[message(reply = u64)]
struct Add(u64);

#[derive(mycelia::Subsystem, Default)]
#[subsystem(name = "counter")]
struct Counter {
    sum: u64,
}

#[mycelia::routes]
impl Counter {
    #[route("sum")]
    fn add(&mut self, Add(n): Add) -> u64 {
        self.sum += n;
        self.sum
    }
}

/// A text without its comments.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let without_comment = |line: &str| line.split("//").next().unwrap().to_owned() + "\n";
    text.lines().map(without_comment).collect()
}

/// The words of a text.
fn words(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| c != '_' && !c.is_alphanumeric())
        .collect()
}

/// The names that a `pub use` exports: the last word of each path.
fn exported(tree: &str) -> impl Iterator<Item = &str> {
    let paths = tree.split([',', '{', '}']);
    let names = paths.filter_map(|path| path.trim().rsplit([':', ' ']).next());
    names.filter(|name| !name.is_empty())
}

/// What each room of `lib.rs` exports, the root under the name `root`; what is hidden from the docs is left out.
fn face() -> BTreeMap<String, BTreeSet<String>> {
    let lib = code(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../src/lib.rs"));
    let mut face: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let (mut room, mut is_hidden, mut is_room_hidden) = ("root", false, false);
    let mut rest = lib.as_str();
    while let Some(end) = rest.find(['{', ';', '}', ']']) {
        let (item, mark) = (rest[..end].trim(), rest.as_bytes()[end]);
        rest = &rest[end + 1..];
        if let Some(name) = item.strip_prefix("pub mod ") {
            if mark == b'{' {
                (room, is_room_hidden, is_hidden) = (name, is_hidden, false);
            } else {
                // The test kit has its own tests.
                assert!(
                    is_hidden || name == "test",
                    "the room `{name}` is no part of lib.rs"
                );
                is_hidden = false;
            }
        } else if let Some(tree) = item.strip_prefix("pub use ") {
            let tree = match mark {
                b'{' => {
                    let end = rest.find(';').expect("an end of `pub use`");
                    let group = &rest[..end];
                    rest = &rest[end + 1..];
                    group
                }
                _ => tree,
            };
            if !is_hidden && !is_room_hidden {
                let names = exported(tree).map(str::to_owned);
                face.entry(room.to_owned()).or_default().extend(names);
            }
            is_hidden = false;
        } else if mark == b']' {
            is_hidden |= item == "#[doc(hidden)";
        } else {
            is_hidden = false;
            if mark == b'}' {
                (room, is_room_hidden) = ("root", false);
            }
        }
    }
    face
}

#[test]
fn every_public_name_is_used_in_the_file_of_its_room() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("promises/public_api");
    let face = face();
    let mut missing = Vec::new();
    for (room, names) in &face {
        let text = code(&folder.join(room).with_extension("rs"));
        let used = words(&text);
        let unused = names.iter().filter(|name| !used.contains(name.as_str()));
        missing.extend(unused.map(|name| format!("{room}: {name}")));
    }
    assert!(
        missing.is_empty(),
        "exported and not used here: {missing:#?}"
    );
    let rooms: Vec<&str> = face.keys().map(String::as_str).collect();
    assert_eq!(
        rooms,
        [
            "error",
            "extract",
            "limits",
            "observe",
            "prelude",
            "root",
            "schedule",
            "supervise",
            "time"
        ]
    );
}
