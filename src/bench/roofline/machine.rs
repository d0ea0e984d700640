//! What the operating system says of this machine.

use serde::Serialize;

/// The machine a measurement was made on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// As the processor calls itself; empty where that is not known.
    pub cpu: String,
    /// Threads it runs at once.
    pub cores: usize,
    /// Threads the measurement used.
    pub threads: usize,
    /// "cpu", "cuda:0".
    pub device: String,
    /// Size of the last-level cache, where known.
    pub cache_bytes: Option<u64>,
    pub memory_bytes: Option<u64>,
}

impl Machine {
    /// Asks the system; `threads` and `device` are the caller's own.
    pub fn here(threads: usize, device: String) -> Self {
        Self {
            cpu: cpu().unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            threads,
            device,
            cache_bytes: last_level_cache(),
            memory_bytes: memory("MemTotal:"),
        }
    }
}

fn cpu() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|l| l.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Bytes of the largest cache of the first core, on Linux.
pub fn last_level_cache() -> Option<u64> {
    let folder = std::fs::read_dir("/sys/devices/system/cpu/cpu0/cache").ok()?;
    let sizes = folder.filter_map(|entry| {
        let text = std::fs::read_to_string(entry.ok()?.path().join("size")).ok()?;
        let kib: u64 = text.trim().strip_suffix('K')?.parse().ok()?;
        Some(kib * 1024)
    });
    sizes.max()
}

/// Bytes that programs can still take, on Linux.
pub fn available_memory() -> Option<u64> {
    memory("MemAvailable:")
}

fn memory(field: &str) -> Option<u64> {
    kib("/proc/meminfo", field)
}

/// The most memory this process has had resident so far, on Linux.
pub fn peak_memory() -> Option<u64> {
    kib("/proc/self/status", "VmHWM:")
}

/// A field of `/proc` that counts kB, in bytes.
fn kib(path: &str, field: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|l| l.starts_with(field))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn linux_says_what_it_has() {
        let peak = peak_memory().unwrap();
        assert!((1 << 20..1 << 45).contains(&peak), "{peak}");
        assert!(available_memory().unwrap() <= memory("MemTotal:").unwrap());
        let machine = Machine::here(1, "cpu".to_owned());
        assert!(machine.cores >= 1);
    }
}
