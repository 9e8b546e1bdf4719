//! The process as Linux tells it: memory and processor time. `None` where there is no `/proc`.

use std::fs;
use std::time::Duration;

fn status_kb(key: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The resident set now, in bytes.
pub fn resident() -> Option<u64> {
    status_kb("VmRSS:").map(|kb| kb * 1024)
}

/// The largest resident set so far, in bytes.
pub fn resident_peak() -> Option<u64> {
    status_kb("VmHWM:").map(|kb| kb * 1024)
}

/// Processor time of all threads that live now, to the nanosecond.
pub fn processor_time() -> Option<Duration> {
    let mut total = 0;
    for task in fs::read_dir("/proc/self/task").ok()? {
        // A thread may end while the list is read.
        let Ok(text) = fs::read_to_string(task.ok()?.path().join("schedstat")) else {
            continue;
        };
        total += text
            .split_whitespace()
            .next()
            .and_then(|ns| ns.parse::<u64>().ok())
            .unwrap_or(0);
    }
    Some(Duration::from_nanos(total))
}

/// The processor's name.
pub fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or("unknown processor", |(_, name)| name.trim())
        .to_string()
}

/// How many processors the process may use.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
