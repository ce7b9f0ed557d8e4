//! What a run may take of the machine, the network and the store.

use clap::Args;
use std::num::NonZeroUsize;

/// As it is given: read later, because a variable that is empty is as good as unset.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct Tuning {
    /// How many threads compute, and how many see to the network [default: one for each processor]
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "COUNT",
        env = "GGEN_MARKET_THREADS",
        hide_env_values = true
    )]
    threads: Option<String>,
    /// How many requests are under way at once [default: 32 for an operation on a store, 96 for puts into a bucket, 100 to web servers]
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "COUNT",
        env = "GGEN_MARKET_CONNECTIONS",
        hide_env_values = true
    )]
    connections: Option<String>,
    /// How much of archives may be in memory on their way up: 64M, 1G [default: 64M]
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "SIZE",
        env = "GGEN_MARKET_UPLOAD_MEMORY",
        hide_env_values = true
    )]
    upload_memory: Option<String>,
    /// How much of the index a reader keeps in memory: 64M, 1G [default: 64M]
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "SIZE",
        env = "GGEN_MARKET_MEMORY",
        hide_env_values = true
    )]
    memory: Option<String>,
}

/// What was set. None is needed: the defaults suit a machine of a few processors and a server a few milliseconds away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) threads: Option<NonZeroUsize>,
    pub(crate) connections: Option<NonZeroUsize>,
    pub(crate) upload_memory: Option<NonZeroUsize>,
    pub(crate) memory: Option<NonZeroUsize>,
}

impl Tuning {
    /// Reads what is given; the error says which of them cannot be read.
    pub(crate) fn limits(&self) -> Result<Limits, String> {
        type Read = fn(&str) -> Result<NonZeroUsize, String>;
        let read = |name: &str, text: &Option<String>, read: Read| {
            let text = text.as_deref().filter(|t| !t.is_empty());
            text.map(|text| read(text).map_err(|e| format!("--{name}: {e}"))).transpose()
        };
        Ok(Limits {
            threads: read("threads", &self.threads, threads)?,
            connections: read("connections", &self.connections, connections)?,
            upload_memory: read("upload-memory", &self.upload_memory, upload_memory)?,
            memory: read("memory", &self.memory, memory)?,
        })
    }
}

impl Limits {
    /// What is not set here as it is there.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            threads: self.threads.or(other.threads),
            connections: self.connections.or(other.connections),
            upload_memory: self.upload_memory.or(other.upload_memory),
            memory: self.memory.or(other.memory),
        }
    }
}

pub(crate) fn threads(text: &str) -> Result<NonZeroUsize, String> {
    count(text, 1024)
}

pub(crate) fn connections(text: &str) -> Result<NonZeroUsize, String> {
    count(text, 10_000)
}

/// At least one part of an upload.
pub(crate) fn upload_memory(text: &str) -> Result<NonZeroUsize, String> {
    size(text, 8 << 20)
}

pub(crate) fn memory(text: &str) -> Result<NonZeroUsize, String> {
    size(text, 1 << 20)
}

fn count(text: &str, most: usize) -> Result<NonZeroUsize, String> {
    let number = text.parse::<NonZeroUsize>().ok().filter(|n| n.get() <= most);
    number.ok_or_else(|| format!("{text:?} is no number from 1 to {most}"))
}

/// Reads `64M`, `1G`, `512K` or a number of bytes.
fn size(text: &str, least: usize) -> Result<NonZeroUsize, String> {
    let (number, shift) = match text.char_indices().next_back() {
        Some((at, 'K' | 'k')) => (&text[..at], 10),
        Some((at, 'M' | 'm')) => (&text[..at], 20),
        Some((at, 'G' | 'g')) => (&text[..at], 30),
        _ => (text, 0),
    };
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let bytes = number.parse::<usize>().ok().filter(|_| digits).and_then(|n| n.checked_mul(1 << shift));
    let bytes = bytes.ok_or_else(|| format!("{text:?} is no size (expected the form 64M, 1G or 512K)"))?;
    NonZeroUsize::new(bytes)
        .filter(|n| (least..=1 << 40).contains(&n.get()))
        .ok_or_else(|| format!("{text} is out of range: at least {}M, at most 1024G", least >> 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_and_a_unit() {
        let bytes = |t: &str| memory(t).map(NonZeroUsize::get);
        assert_eq!(bytes("64M"), Ok(64 << 20));
        assert_eq!(bytes("1G"), Ok(1 << 30));
        assert_eq!(bytes("2048k"), Ok(2 << 20));
        assert_eq!(bytes("1048576"), Ok(1 << 20));
        for bad in ["", "M", "0", "1K", "-1M", "+64M", "1.5G", "64 M", "64MB", "1025G", "99999999999999999999G", "1ß"]
        {
            assert!(bytes(bad).is_err(), "{bad}");
        }
        assert!(upload_memory("4M").is_err() && upload_memory("8M").is_ok());
        assert!(threads("0").is_err() && threads("1025").is_err() && threads("2").is_ok());
    }
}
