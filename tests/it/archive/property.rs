//! Properties: nothing panics, no limit is passed, and what is packed can be read.

use super::{list, list_within};
use crate::support::tarball::{Tarball, gzip};
use ggen_marketplace::package::archive::{Limits, pack, read};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Small, so that damaged archives pass them.
const TIGHT: Limits = Limits { packed: 4000, unpacked: 8000, ratio: 50, files: 8, file: 3000, path: 40, twins: false };

/// Reads, whatever it is, and holds what the visitor saw to the limits.
fn stays_within(bytes: &[u8], limits: &Limits) {
    let (mut files, mut content) = (0, 0);
    let out = read(bytes, limits, |entry, input| {
        assert!(entry.size <= limits.file && entry.path.len() < limits.path && !entry.path.is_empty());
        assert!(!entry.path.split('/').any(|p| matches!(p, "" | "." | "..") || p.contains(['\\', ':', '\0', '\n'])));
        let read = std::io::copy(input, &mut std::io::sink())?;
        assert_eq!(read, entry.size);
        content += read;
        files += 1;
        assert!(content <= limits.unpacked && files <= limits.files);
        Ok(())
    });
    if let Ok(summary) = out {
        assert_eq!(summary.unpacked, content);
        assert!(summary.files <= files && bytes.len() as u64 <= limits.packed);
    }
}

fn sample() -> Vec<u8> {
    Tarball::default()
        .folder("p-1/")
        .file("p-1/a", "some text, some text, some text")
        .pax(&[("path", "p-1/d/テンプレート"), ("mtime", "1.5")])
        .file("p-1/x", vec![b'x'; 1500])
        .long_name("p-1/d/e/f")
        .file("p-1/y", "")
        .tar()
}

/// Damage at places between 0 and 1 of the whole: bytes to write there.
fn damage() -> impl Strategy<Value = Vec<(f64, Vec<u8>)>> {
    prop::collection::vec((0.0..1.0, prop::collection::vec(any::<u8>(), 1..12)), 1..6)
}

fn damaged(mut bytes: Vec<u8>, damage: &[(f64, Vec<u8>)]) -> Vec<u8> {
    for (place, with) in damage {
        let at = (place * bytes.len() as f64) as usize;
        let end = (at + with.len()).min(bytes.len());
        bytes[at..end].copy_from_slice(&with[..end - at]);
    }
    bytes
}

/// Paths that are safe and no twins: each begins with its own number.
fn tree() -> impl Strategy<Value = BTreeMap<String, (Vec<u8>, bool)>> {
    let part = prop_oneof![
        4 => "[a-zA-Z0-9_.+-]{0,12}[a-z]",
        1 => "[а-яぁ-ん一-十é]{1,30}",
        1 => "[a-z]{90,120}",
    ];
    let file = (prop::collection::vec(part, 0..3), prop::collection::vec(any::<u8>(), 0..2000), any::<bool>());
    prop::collection::vec(file, 1..8).prop_map(|files| {
        let path = |(n, parts): (usize, Vec<String>)| format!("{n}-{}", parts.join(&format!("/{n}")));
        files.into_iter().enumerate().map(|(n, (p, content, x))| (path((n, p)), (content, x))).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        stays_within(&bytes, &TIGHT);
        stays_within(&gzip(&bytes), &TIGHT);
    }

    #[test]
    fn damaged_archives_never_panic(damage in damage()) {
        stays_within(&damaged(gzip(&sample()), &damage), &TIGHT);
    }

    #[test]
    fn damaged_tars_never_panic(damage in damage()) {
        let mut tar = damaged(sample(), &damage);
        for block in tar.chunks_mut(512).filter(|b| b.len() == 512 && b[257..].starts_with(b"ustar")) {
            crate::support::tarball::fix_checksum(block);
        }
        stays_within(&gzip(&tar), &TIGHT);
    }

    #[test]
    fn every_proper_beginning_is_refused(part in 0.0..1.0) {
        let whole = gzip(&sample());
        let cut = (part * whole.len() as f64) as usize;
        prop_assert!(list(&whole).is_ok());
        prop_assert!(list(&whole[..cut]).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_packed_can_be_read(tree in tree()) {
        let folder = tempfile::tempdir().unwrap();
        for (path, (content, executable)) in &tree {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, content).unwrap();
            #[cfg(unix)]
            if *executable {
                use std::os::unix::fs::PermissionsExt as _;
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            }
            let _ = executable;
        }
        let (mut one, mut two) = (Vec::new(), Vec::new());
        let limits = Limits::default();
        let summary = pack(folder.path(), "p-1.2.3", &mut one, &limits).unwrap();
        pack(folder.path(), "p-1.2.3", &mut two, &limits).unwrap();
        prop_assert_eq!(&one, &two);
        let (read, seen) = list_within(&one, &limits).unwrap();
        prop_assert_eq!(read, summary);
        let paths: Vec<_> = seen.iter().map(|s| s.path.clone()).collect();
        prop_assert!(paths.is_sorted());
        let seen: BTreeMap<_, _> = seen.into_iter().map(|s| (s.path, (s.content, s.executable && cfg!(unix)))).collect();
        prop_assert_eq!(seen, tree);
    }
}
