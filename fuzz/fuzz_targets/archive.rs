//! The archive reader over bytes from nowhere: no panic, no limit passed, no unsafe path shown.
//!
//! The first byte chooses what the rest is: a gzip stream as it is, or a tar stream that is given right checksums and
//! packed, so that the fuzzer need not guess either.

#![no_main]

use ggen_marketplace::package::archive::{Limits, read};
use libfuzzer_sys::fuzz_target;
use std::io::Write as _;

const LIMITS: Limits =
    Limits { packed: 1 << 20, unpacked: 1 << 20, ratio: 100, files: 50, file: 1 << 18, path: 300, twins: true };

fuzz_target!(|input: &[u8]| {
    let Some((how, rest)) = input.split_first() else { return };
    if how % 2 == 0 { check(rest) } else { check(&packed(rest, how & 2 != 0)) }
});

fn check(bytes: &[u8]) {
    let (mut entries, mut content) = (0, 0);
    let out = read(bytes, &LIMITS, |entry, input| {
        assert!(entry.size <= LIMITS.file && entry.path.len() < LIMITS.path);
        assert!(!entry.directory || entry.size == 0);
        for part in entry.path.split('/') {
            assert!(!matches!(part, "" | "." | "..") && part.len() <= 255);
            assert!(!part.contains(['\\', ':', '\n', '\0']) && !part.ends_with(['.', ' ']));
        }
        let n = std::io::copy(input, &mut std::io::sink())?;
        assert_eq!(n, entry.size);
        (entries, content) = (entries + 1, content + n);
        assert!(entries <= LIMITS.files && content <= LIMITS.unpacked);
        Ok(())
    });
    if let Ok(summary) = out {
        assert!(summary.files > 0 && summary.files <= entries && summary.unpacked == content);
        assert!(!summary.top.is_empty() && !summary.top.contains('/'));
    }
}

/// The tar stream packed, each block that may be a header with its checksum right, and with an end if it needs one.
fn packed(tar: &[u8], end: bool) -> Vec<u8> {
    let mut tar = tar.to_vec();
    for block in tar.chunks_exact_mut(512).filter(|b| b[257..262] == *b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    if end {
        tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
    }
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&tar).expect("memory takes all");
    gz.finish().expect("memory takes all")
}
