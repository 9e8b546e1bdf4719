//! A mistake in a subsystem is a compile error at the token that has to change, and its correction
//! compiles: each file in `ui/fail` has its twin in `ui/pass`. The other files in `ui/pass` show what
//! the macros work with.

use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn a_mistake_is_explained_where_it_stands() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/fail/*.rs");
    cases.pass("tests/ui/pass/*.rs");
}

#[test]
fn every_mistake_has_its_correction() {
    let names = |folder: &str| -> BTreeSet<_> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/ui")
            .join(folder);
        let files = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path());
        files
            .filter(|file| file.extension().is_some_and(|extension| extension == "rs"))
            .map(|file| file.file_name().unwrap().to_owned())
            .collect()
    };
    let missing: Vec<_> = names("fail").difference(&names("pass")).cloned().collect();
    assert!(missing.is_empty(), "without a correction: {missing:?}");
}
