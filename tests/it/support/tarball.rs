//! A writer of tar and gzip that writes whatever it is told, however wrong.

use std::io::Write as _;

const BLOCK: usize = 512;

/// One header, with every field open to damage.
#[derive(Clone)]
pub(crate) struct Head {
    name: Vec<u8>,
    flag: u8,
    size: Option<u64>,
    edits: Vec<(usize, Vec<u8>)>,
    fix_checksum: bool,
    gnu: bool,
}

impl Head {
    pub(crate) fn new(name: impl AsRef<[u8]>, flag: u8) -> Self {
        let name = name.as_ref().to_vec();
        Self { name, flag, size: None, edits: Vec::new(), fix_checksum: true, gnu: false }
    }

    /// The size in the header, where it is not that of the content.
    pub(crate) fn size(mut self, size: u64) -> Self {
        self.size = Some(size);
        self
    }

    /// GNU's magic number instead of POSIX's.
    pub(crate) fn gnu(mut self) -> Self {
        self.gnu = true;
        self
    }

    /// Writes `bytes` over the header at `at`.
    pub(crate) fn put(mut self, at: usize, bytes: impl AsRef<[u8]>) -> Self {
        self.edits.push((at, bytes.as_ref().to_vec()));
        self
    }

    pub(crate) fn mode(self, mode: u32) -> Self {
        self.put(100, format!("{mode:07o}\0"))
    }

    /// The target of a link.
    pub(crate) fn target(self, target: &str) -> Self {
        self.put(157, target)
    }

    /// Leaves the checksum as the edits made it.
    pub(crate) fn wrong_checksum(mut self) -> Self {
        self.fix_checksum = false;
        self
    }

    fn block(&self, content: usize) -> [u8; BLOCK] {
        let mut b = [0; BLOCK];
        let mut put = |at: usize, bytes: &[u8]| b[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &self.name[..self.name.len().min(100)]);
        put(100, b"0000644\0");
        put(108, b"0000000\0");
        put(116, b"0000000\0");
        put(124, format!("{:011o}\0", self.size.unwrap_or(content as u64)).as_bytes());
        put(136, b"00000000000\0");
        put(156, &[self.flag]);
        put(257, if self.gnu { b"ustar  \0" } else { b"ustar\x0000" });
        for (at, bytes) in &self.edits {
            put(*at, bytes);
        }
        if self.fix_checksum {
            fix_checksum(&mut b);
        }
        b
    }
}

/// Makes the checksum of a header right.
pub(crate) fn fix_checksum(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block[..BLOCK].iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// A tar stream in the making.
#[derive(Clone, Default)]
pub(crate) struct Tarball(Vec<u8>);

impl Tarball {
    pub(crate) fn entry(mut self, head: Head, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref();
        self.0.extend(head.block(content.len()));
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(BLOCK), 0);
        self
    }

    pub(crate) fn file(self, name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        self.entry(Head::new(name, b'0'), content)
    }

    pub(crate) fn folder(self, name: impl AsRef<[u8]>) -> Self {
        self.entry(Head::new(name, b'5'), "")
    }

    /// GNU's long name for the next entry.
    pub(crate) fn long_name(self, name: impl AsRef<[u8]>) -> Self {
        let mut body = name.as_ref().to_vec();
        body.push(0);
        self.entry(Head::new("././@LongLink", b'L').gnu(), body)
    }

    /// A PAX header with these records for the next entry.
    pub(crate) fn pax(self, records: &[(&str, &str)]) -> Self {
        self.pax_body(records.iter().flat_map(|(k, v)| record(k, v.as_bytes())).collect::<Vec<_>>())
    }

    pub(crate) fn pax_body(self, body: impl AsRef<[u8]>) -> Self {
        self.entry(Head::new("././@PaxHeader", b'x'), body)
    }

    pub(crate) fn bytes(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.extend(bytes.as_ref());
        self
    }

    /// The tar stream without an end marker.
    pub(crate) fn open(self) -> Vec<u8> {
        self.0
    }

    /// The tar stream with its end marker.
    pub(crate) fn tar(self) -> Vec<u8> {
        self.bytes([0; 2 * BLOCK]).0
    }

    /// The finished archive.
    pub(crate) fn gz(self) -> Vec<u8> {
        gzip(&self.tar())
    }
}

/// A PAX record, its length right.
pub(crate) fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while len != rest + len.to_string().len() {
        len += 1;
    }
    [len.to_string().as_bytes(), b" ", key.as_bytes(), b"=", value, b"\n"].concat()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(bytes).expect("memory takes all");
    gz.finish().expect("memory takes all")
}
