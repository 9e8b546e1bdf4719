//! Which version of each peer is measured: what the workspace's `Cargo.lock` says.

const LOCK: &str = include_str!("../../Cargo.lock");

/// The locked version of a package; the highest one if there are several.
pub fn of(package: &str) -> &'static str {
    let wanted = format!("name = \"{package}\"");
    let mut lines = LOCK.lines();
    let mut found = "?";
    while let Some(line) = lines.next() {
        if line == wanted
            && let Some(version) = lines.next().and_then(|l| l.strip_prefix("version = \""))
        {
            found = version.trim_end_matches('"');
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_peer_has_a_version() {
        for package in [
            "actix",
            "kameo",
            "ractor",
            "xtra",
            "tokio",
            "crossbeam-channel",
            "mycelia",
        ] {
            assert_ne!(super::of(package), "?", "{package}");
        }
        assert_eq!(super::of("actix"), "0.13.5");
    }
}
