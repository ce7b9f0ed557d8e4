//! The header of one entry, read strictly: whatever two programs would read differently is an error.

use super::{ArchiveError, error::shown, stream::BLOCK};

/// What follows a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    /// The long path of the next entry, in GNU's way.
    LongName,
    /// A PAX header for the next entry.
    Pax,
}

/// What a header says, but for the name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) size: u64,
    pub(super) executable: bool,
}

/// Reads the header `block`, and the name in it into `name`.
pub(super) fn parse(block: &[u8; BLOCK], name: &mut Vec<u8>) -> Result<Header, ArchiveError> {
    name.clear();
    name.extend_from_slice(text(&block[..100]).unwrap_or(&block[..100]));
    let malformed = |field| ArchiveError::Header { entry: shown(name), field };

    let header = tar::Header::from_byte_slice(block);
    let old = header.as_old();
    // Of the two sums in use this is the standard's, which every program takes.
    let sum: u64 = block.iter().map(|b| u64::from(*b)).sum::<u64>() + 8 * u64::from(b' ')
        - old.cksum.iter().map(|b| u64::from(*b)).sum::<u64>();
    if octal(&old.cksum) != Some(sum) {
        return Err(malformed("checksum"));
    }
    let kind = kind(old.linkflag[0], name)?;
    // GNU keeps times and sparse maps where POSIX keeps the first part of a long path; some programs read the path there
    // all the same. POSIX: "ustar\0" and "00"; GNU: "ustar  \0".
    let (prefix, devices) = match (header.as_ustar(), header.as_gnu()) {
        (Some(h), _) if h.version == *b"00" => (&block[345..500], [&h.dev_major, &h.dev_minor]),
        (_, Some(h)) if block[345..].iter().all(|b| *b == 0) => (&block[345..345], [&h.dev_major, &h.dev_minor]),
        (_, Some(_)) => return Err(malformed("GNU part")),
        _ => return Err(malformed("magic number")),
    };
    // What stands behind the end of a text is seen by some programs and not by others.
    text(&old.name).ok_or_else(|| malformed("name"))?;
    let prefix = text(prefix).ok_or_else(|| malformed("name prefix"))?;
    if block[500..].iter().any(|b| *b != 0) {
        return Err(malformed("reserved part"));
    }
    if old.linkname.iter().any(|b| *b != 0) {
        return Err(malformed("link name"));
    }
    let mode = octal(&old.mode).ok_or_else(|| malformed("mode"))?;
    let size = octal(&old.size).ok_or_else(|| malformed("size"))?;
    // Python takes a folder's content for the next header; others skip it.
    if kind == Kind::Folder && size != 0 {
        return Err(malformed("size"));
    }
    if let Some(field) = unreadable_number(old, devices) {
        return Err(malformed(field));
    }
    if !prefix.is_empty() {
        name.splice(..0, prefix.iter().copied().chain([b'/']));
    }
    Ok(Header { kind, size, executable: mode & 0o100 != 0 })
}

/// The first malformed one of the numbers that nobody here uses. But a program that fails to read one ends its list there,
/// or says that the archive is damaged.
fn unreadable_number(old: &tar::OldHeader, devices: [&[u8; 8]; 2]) -> Option<&'static str> {
    let fields = [
        ("owner", &old.uid[..], u64::from(u32::MAX - 1)),
        ("group", &old.gid[..], u64::from(u32::MAX - 1)),
        ("time", &old.mtime[..], 1 << 40),
        ("device", &devices[0][..], u64::from(u32::MAX)),
        ("device", &devices[1][..], u64::from(u32::MAX)),
    ];
    let readable = |bytes: &[u8], max| octal(bytes).or_else(|| binary(bytes)).is_some_and(|n| n <= max);
    let bad = |f: &&(&str, &[u8], u64)| f.1.iter().any(|b| *b != 0) && !readable(f.1, f.2);
    fields.iter().find(bad).map(|f| f.0)
}

fn kind(flag: u8, name: &[u8]) -> Result<Kind, ArchiveError> {
    let entry = || shown(name);
    Ok(match flag {
        b'0' => Kind::File,
        // The old flag of a file means a folder to some where the name in the header ends so, even if a longer name
        // replaces it.
        0 if !name.ends_with(b"/") => Kind::File,
        0 => return Err(ArchiveError::Header { entry: entry(), field: "type" }),
        b'5' => Kind::Folder,
        b'L' => Kind::LongName,
        b'x' => Kind::Pax,
        b'g' => return Err(ArchiveError::GlobalPax),
        b'1' | b'2' | b'K' => return Err(ArchiveError::Link { entry: entry() }),
        b'3' | b'4' => return Err(ArchiveError::Device { entry: entry() }),
        b'6' => return Err(ArchiveError::Fifo { entry: entry() }),
        b'7' => return Err(ArchiveError::Contiguous { entry: entry() }),
        b'S' => return Err(ArchiveError::Sparse { entry: entry() }),
        flag => return Err(ArchiveError::UnknownType { entry: entry(), flag }),
    })
}

/// A text up to its first NUL; nothing where more than NULs follow that.
fn text(field: &[u8]) -> Option<&[u8]> {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    field[end..].iter().all(|b| *b == 0).then_some(&field[..end])
}

/// Spaces, octal digits, and then only spaces and NULs: all that programs agree on. (Python's `int` takes `+1` and `1_0`,
/// GNU tar base 64.)
fn octal(field: &[u8]) -> Option<u64> {
    let start = field.iter().position(|b| *b != b' ')?;
    let field = &field[start..];
    let end = field.iter().position(|b| !matches!(b, b'0'..=b'7')).unwrap_or(field.len());
    if end == 0 || !field[end..].iter().all(|b| matches!(b, 0 | b' ')) {
        return None;
    }
    // At most 12 digits of 3 bits.
    Some(field[..end].iter().fold(0, |n, b| n << 3 | u64::from(b - b'0')))
}

/// A large number as GNU writes it: a marker, then the positive number in base 256.
fn binary(field: &[u8]) -> Option<u64> {
    let (first, rest) = field.split_first()?;
    let (high, low) = rest.split_at(rest.len().saturating_sub(8));
    if *first != 0x80 || high.iter().any(|b| *b != 0) {
        return None;
    }
    Some(low.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_every_program_reads() {
        assert_eq!(octal(b"0000644\0"), Some(0o644));
        assert_eq!(octal(b"   644 \0"), Some(0o644));
        assert_eq!(octal(b"77777777"), Some(0o7777_7777));
        for bad in
            [&b"\0\0\0\0"[..], b"    ", b"+1\0\0", b"-1\0\0", b"1_0\0", b"0o7\0", b"12\x007", b"8\0\0\0", b"0x1\0"]
        {
            assert_eq!(octal(bad), None, "{bad:?}");
        }
        assert_eq!(binary(&[0x80, 0, 0, 0, 0, 0, 1, 0]), Some(256));
        assert_eq!(binary(&[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(binary(&[0xff; 8]), None);
    }
}
