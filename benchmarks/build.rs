//! Tells the programs what built them: `BUILT_BY`, `BUILT_FOR` and `BUILT_AS`.

use std::env;
use std::process::Command;

fn main() {
    // A new compiler has the script run again by itself.
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name| env::var(name).unwrap_or_else(|_| "unknown".into());
    let version = Command::new(variable("RUSTC")).arg("--version").output();
    let version = version.map_or("unknown".into(), |output| {
        String::from_utf8_lossy(&output.stdout).trim().to_string()
    });
    println!("cargo::rustc-env=BUILT_BY={version}");
    println!("cargo::rustc-env=BUILT_FOR={}", variable("TARGET"));
    println!("cargo::rustc-env=BUILT_AS={}", variable("PROFILE"));
}
