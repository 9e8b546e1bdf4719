//! The house: a file uses only what is declared above it, no file is long, and no name means two things.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The most lines that a file may have.
const LONGEST: usize = 400;

/// The most entries at the top.
const ROOMS: usize = 16;

/// The most lines that ask for the feature `test`: one for each module that it exchanges, and one for what the test
/// kit sees of the inside.
const SWITCHES: usize = 5;

/// Folders whose files are parts of one thing, and may use each other: the turn of a host, the registry's handlers,
/// an attempt and who waits for it, the wait graph.
const ONE_THING: [&str; 4] = ["host", "keepers/registry", "send", "runtime/deadlock"];

/// How the name of a file ends that stands in for another without the feature `test`: `taps_off.rs` for `taps.rs`
/// or `taps/`.
const STAND_IN: &str = "_off";

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../src")
}

/// The test kit.
fn kit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../test/src")
}

/// All files below a folder, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(files(&path)),
            false => all.push(path),
        }
    }
    all.sort();
    all
}

/// What is compiled into the crate: without comments and unit tests.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let text = text.split("mod tests {").next().unwrap();
    let without_comment = |line: &str| line.split("//").next().unwrap().to_owned() + "\n";
    text.lines().map(without_comment).collect()
}

fn is_test(file: &Path) -> bool {
    file.file_stem().is_some_and(|name| name == "tests")
}

fn is_stand_in(file: &Path) -> bool {
    let name = file.file_stem().and_then(|name| name.to_str());
    name.is_some_and(|name| name.ends_with(STAND_IN))
}

/// The modules that a file declares, in its order.
fn declared(file: &Path) -> Vec<String> {
    let name = |line: &str| {
        let line = line
            .trim_start_matches("pub(crate) ")
            .trim_start_matches("pub ");
        let name = line.strip_prefix("mod ")?.strip_suffix(';')?;
        Some(name.to_owned())
    };
    code(file).lines().filter_map(name).collect()
}

/// The names that follow a path in a text.
fn used(code: &str, path: &str) -> BTreeSet<String> {
    let names = code.match_indices(path).filter_map(|(at, _)| {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c == ':' || c.is_alphanumeric()) {
            return None;
        }
        let name = code[at + path.len()..].split(|c: char| c != '_' && !c.is_alphanumeric());
        name.into_iter().next().map(str::to_owned)
    });
    names.collect()
}

/// Those of a folder's files that use what is declared below them.
fn upside_down(folder: &Path, declaring: &Path, path: &str) -> Vec<String> {
    let order = declared(declaring);
    let place = |name: &str| order.iter().position(|one| one == name);
    let mut wrong = Vec::new();
    for file in files(folder) {
        let inside = file.strip_prefix(folder).unwrap();
        let parts: Vec<_> = inside.iter().map(|part| part.to_str().unwrap()).collect();
        let own = parts[0].trim_end_matches(".rs");
        let Some(own) = place(own.trim_end_matches(STAND_IN)) else {
            continue;
        };
        if is_test(&file) {
            continue;
        }
        // `super` of a folder's `mod.rs` is one step nearer.
        let up = parts.len() - usize::from(parts[parts.len() - 1] == "mod.rs" && parts.len() > 1);
        let code = code(&file);
        let mut names = used(&code, path);
        names.extend(used(&code, &"super::".repeat(up)));
        for name in names {
            if place(&name).is_some_and(|other| other > own) {
                wrong.push(format!(
                    "{} uses `{name}`, which is declared below it",
                    file.display()
                ));
            }
        }
    }
    wrong
}

#[test]
fn a_file_uses_only_what_is_declared_above_it() {
    let mut wrong = Vec::new();
    for source in [source(), kit()] {
        wrong.extend(upside_down(&source, &source.join("lib.rs"), "crate::"));
        for file in files(&source) {
            let folder = file.parent().unwrap();
            let inside = folder.strip_prefix(&source).unwrap().to_str().unwrap();
            if !file.ends_with("mod.rs") || ONE_THING.contains(&inside) {
                continue;
            }
            let path = format!("crate::{}::", inside.replace('/', "::"));
            wrong.extend(upside_down(folder, &file, &path));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_house_has_few_rooms_and_no_long_file() {
    let rooms = fs::read_dir(source()).unwrap().count();
    assert!(rooms <= ROOMS, "{rooms} entries in framework/src");
    let mut long = Vec::new();
    for file in files(&source()).into_iter().chain(files(&kit())) {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        if lines > LONGEST && !is_test(&file) {
            long.push(format!("{}: {lines} lines", file.display()));
        }
    }
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn the_feature_test_is_asked_in_few_places() {
    let mut places = Vec::new();
    for file in files(&source()) {
        for line in code(&file).lines() {
            if line.contains("cfg") && line.contains("feature = \"test\"") {
                places.push(format!("{}: {line}", file.display()));
            }
        }
    }
    assert!(places.len() <= SWITCHES, "{places:#?}");
}

#[test]
fn every_stand_in_stands_in_for_a_file() {
    for file in files(&source()).iter().filter(|file| is_stand_in(file)) {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let whole = file.with_file_name(name.trim_end_matches(STAND_IN));
        let is_there = whole.is_dir() || whole.with_extension("rs").is_file();
        assert!(is_there, "{} stands in for no file", file.display());
    }
}

#[test]
fn no_type_name_is_declared_twice() {
    let mut places: BTreeMap<String, BTreeSet<PathBuf>> = BTreeMap::new();
    for file in files(&source()).into_iter().chain(files(&kit())) {
        // It has the types of the file that it stands in for.
        if is_stand_in(&file) {
            continue;
        }
        for line in code(&file).lines() {
            let line = line.trim_start_matches("pub ");
            let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
            let line = line.strip_prefix("pub(super) ").unwrap_or(line);
            let kinds = ["struct ", "enum ", "trait ", "type ", "union "];
            let Some(rest) = kinds.iter().find_map(|kind| line.strip_prefix(kind)) else {
                continue;
            };
            let name = rest.split(|c: char| c != '_' && !c.is_alphanumeric());
            let name = name.into_iter().next().unwrap().to_owned();
            places.entry(name).or_default().insert(file.clone());
        }
    }
    places.retain(|_, places| places.len() > 1);
    assert!(places.is_empty(), "{places:#?}");
}
