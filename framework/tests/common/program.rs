//! A program in a process of its own: a test starts its own binary again, which then runs the program of
//! that test. They talk by lines: the program says how far it is, the test says when to go on.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Names, in the process that runs it, the test whose program is to be run.
const PROGRAM: &str = "MYCELIA_TEST_PROGRAM";

/// A program that runs in a process of its own.
pub(crate) struct Program {
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Program {
    /// Starts the program of a test; in the process that is to run it, runs it, says the last line that it
    /// returns, and exits with its code.
    pub(crate) fn start(test: &str, run: impl FnOnce() -> (u8, String)) -> Self {
        if std::env::var(PROGRAM).is_ok_and(|program| program == test) {
            let (code, last) = run();
            say(&last);
            std::process::exit(code.into());
        }
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(PROGRAM, test)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Program {
            input: process.stdin.take().unwrap(),
            output: BufReader::new(process.stdout.take().unwrap()).lines(),
            process,
        }
    }

    /// Waits for a line.
    pub(crate) fn until(&mut self, line: &str) {
        let mut seen = Vec::new();
        for said in self.output.by_ref() {
            let said = said.unwrap();
            if said == line {
                return;
            }
            seen.push(said);
        }
        panic!("the program never said `{line}`, but {seen:#?}");
    }

    /// Sends it a signal: `TERM`, `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.process.id());
        let sent = Command::new("sh").args(["-c", &command]).status().unwrap();
        assert!(sent.success(), "{command}");
    }

    /// Lets it go on.
    pub(crate) fn go_on(&mut self) {
        writeln!(self.input, "go on").unwrap();
    }

    /// Waits for its end: the code, and the last that it said.
    pub(crate) fn end(mut self) -> (i32, String) {
        let lines: Vec<_> = self.output.by_ref().map(Result::unwrap).collect();
        let status = self.process.wait().unwrap();
        let code = status.code();
        let code = code.unwrap_or_else(|| panic!("{status}, after {lines:#?}"));
        (code, lines.last().cloned().unwrap_or_default())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Of a test that failed: it has ended otherwise.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// In the program: says how far it is.
pub(crate) fn say(line: &str) {
    // The test harness may be in the middle of one.
    println!("\n{line}");
}

/// In the program: waits until the test says so.
pub(crate) fn until_told_to_go_on() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    assert_eq!(line, "go on\n");
}
