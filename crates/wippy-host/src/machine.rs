//! What the system says of this program: figures for whoever looks at a node.

use std::fs;

/// Memory of the whole program that is in RAM, in bytes; nothing where the system does not say.
pub fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// How many threads can run at one time.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_grows_with_what_is_touched() {
        let before = resident_bytes().unwrap();
        let mut taken = vec![0_u8; 64 << 20];
        for page in taken.chunks_mut(4096) {
            page.fill(1);
        }
        let grown = resident_bytes().unwrap().saturating_sub(before);
        assert!(grown > 32 << 20, "{grown} of {}", taken.len());
        assert!(cores() >= 1);
    }
}
