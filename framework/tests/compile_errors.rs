//! A mistake in a subsystem is a compile error at the token that has to change, and its correction
//! compiles: each file in `ui/fail` has its twin in `ui/pass`. The other files in `ui/pass` show what
//! the macros work with.
//!
//! The corrections are modules of this program, so that they are compiled once, all together.

use std::collections::BTreeSet;
use std::path::Path;

/// Compiles the corrections, and keeps their names.
macro_rules! corrections {
    ($($name:ident)*) => {
        #[path = "ui/pass"]
        #[allow(dead_code, deprecated, unused, unreachable_pub, clippy::all)]
        mod corrections {
            $(pub(crate) mod $name;)*
        }

        const CORRECTIONS: &[&str] = &[$(stringify!($name)),*];
    };
}

corrections! {
    ambiguous_route bad_option bad_pattern bad_subsystem_name bad_topic bad_within blocking_and_async
    blocking_stays_on_its_thread borrowed_message boxed_error capture_without_from_str
    conditional_message crate_in_quotes duplicate_hook duplicate_route fallible_factory
    hook_with_path hook_without_cause in_macro_rules large_message large_reply main_is_not_async
    missing_reply reply_and_return reply_of_a_wrong_type reply_of_another_message no_message no_receiver no_routes not_a_message not_a_subsystem not_an_extractor
    route_in_trait route_in_trait_impl route_without_routes routes_on_fn routes_on_struct
    routes_on_trait routes_on_trait_impl routes_with_arguments text_as_error text_as_hook_error
    too_few_captures too_many_captures topic_with_reply topic_without_clone two_routes_blocks two_wrong_arguments under_conditions
    unused_capture wrong_error wrong_hook_cause wrong_hook_receiver wrong_hook_reply
    wrong_priority wrong_reply
}

#[test]
fn a_mistake_is_explained_where_it_stands() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/fail/*.rs");
    // Some mistakes are found when code is made only, which takes one that is to compile.
    cases.pass("tests/ui/pass/no_message.rs");
}

fn names(folder: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/ui")
        .join(folder);
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    files
        .filter(|file| file.extension().is_some_and(|extension| extension == "rs"))
        .map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_mistake_has_its_correction_and_every_correction_compiles() {
    let compiled: BTreeSet<_> = CORRECTIONS.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(names("pass"), compiled);
    let missing: Vec<_> = names("fail").difference(&compiled).cloned().collect();
    assert!(missing.is_empty(), "without a correction: {missing:?}");
}

#[test]
fn what_macro_rules_write_works() {
    corrections::in_macro_rules::main().unwrap();
}

#[test]
fn what_stands_under_conditions_works() {
    corrections::under_conditions::main().unwrap();
}
