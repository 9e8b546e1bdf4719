//! What the property tests share.

use proptest::test_runner::Config;

/// As many cases as the variable `PROPTEST_CASES` says, or else `few`, which take seconds. `.ci/fuzz` says
/// millions.
pub(crate) fn cases(few: u32) -> Config {
    let said = std::env::var("PROPTEST_CASES").ok();
    Config {
        cases: said.and_then(|cases| cases.parse().ok()).unwrap_or(few),
        ..Config::default()
    }
}
