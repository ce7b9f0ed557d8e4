//! Across an air gap: what is locked, as one tar file, with everything that proves it.
//!
//! The file holds a part of the registry under its own keys, so that unpacked it is one: `checkpoint`, the objects that lead
//! from it to the records of what is locked, the lock file, and then the archives. Whoever imports it believes nothing of it
//! but the signature of the checkpoint by the key that is pinned, and what follows from that.

use super::{Client, SnapshotReader};
use crate::{
    Error, ErrorKind, Result, cpu,
    format::{self, keys, limits},
    index::Node,
    package::{Archive, Link, PackageId, Sha256, Timestamp},
    resolve::Lock,
    store::Store,
    trust::Checkpoint,
};
use bytes::Bytes;
use object_store::{ObjectStoreExt as _, memory::InMemory};
use std::{
    collections::{BTreeMap, HashMap, HashSet, btree_map::Entry},
    fs::File,
    io::{self, Read, Write},
    path::Path,
    sync::Arc,
};

/// The name of the lock file in a bundle.
const LOCK: &str = "ggen.lock";

/// A lock file is not longer.
const MAX_LOCK: u64 = 64 << 20;

/// All objects before the lock file together are not larger: they are held in memory.
const MAX_PROOF: u64 = 1 << 30;

/// What a bundle came to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Bundle {
    /// What is locked in it.
    pub lock: Lock,
    /// The generation that vouches for it.
    pub generation: u64,
    /// Number of archives.
    pub archives: usize,
    /// Bytes of all archives.
    pub bytes: u64,
}

impl Client {
    /// Writes a bundle of what is locked: archives that are not in the cache are downloaded. The file appears under its name
    /// when it is whole.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] where something is locked from another registry, [`ErrorKind::Untrusted`] where the registry
    /// knows other bytes for it, and those of [`latest`](Self::latest).
    pub async fn export(&self, lock: &Lock, path: &Path) -> Result<Bundle> {
        let (checkpoint, _) = self.checkpoint(self.current().as_ref()).await?;
        let link = checkpoint.slot().claim().snapshot;
        let reader = self.reader(&link, checkpoint.generation()).await?;
        let archives = locked_archives(&reader, lock).await?;
        let mut proof: BTreeMap<Sha256, Bytes> =
            BTreeMap::from([(link.sha256, self.stored(&link, limits::NODE).await?)]);
        for package in lock.packages() {
            for link in reader.path_to(&package.id).await? {
                if let Entry::Vacant(vacant) = proof.entry(link.sha256) {
                    vacant.insert(self.stored(&link, limits::NODE).await?);
                }
            }
        }
        let failed = |e| Error::io("write", path, e);
        let mut tar = tar::Builder::new(super::fetch::beside(path).map_err(failed)?);
        append(&mut tar, keys::CHECKPOINT, checkpoint.bytes().len() as u64, &mut &checkpoint.bytes()[..])
            .map_err(failed)?;
        for (sha256, bytes) in &proof {
            append(&mut tar, &keys::blob(sha256), bytes.len() as u64, &mut &bytes[..]).map_err(failed)?;
        }
        let text = lock.to_text();
        append(&mut tar, LOCK, text.len() as u64, &mut text.as_bytes()).map_err(failed)?;
        let mut bytes = 0;
        for archive in archives.values() {
            let mut from = self.checked_archive(archive, &|_| {}).await?;
            append(&mut tar, &keys::blob(&archive.sha256), archive.size, &mut from.file).map_err(failed)?;
            bytes += archive.size;
        }
        let mut temporary = tar.into_inner().map_err(failed)?;
        temporary.flush().map_err(failed)?;
        super::fetch::place(temporary, path).map_err(failed)?;
        Ok(Bundle { lock: lock.clone(), generation: checkpoint.generation(), archives: archives.len(), bytes })
    }

    /// Takes what a bundle holds into the cache: then it can be installed with no network at all. Nothing that does not follow
    /// from the signed checkpoint in it gets there, and a newer state that was trusted before stays the newest.
    ///
    /// # Errors
    /// [`ErrorKind::Untrusted`] for a bundle that proves something else than it holds, [`ErrorKind::Invalid`] for a file that
    /// is none, [`ErrorKind::Expired`].
    pub async fn import(&self, path: &Path) -> Result<Bundle> {
        let file = path.to_owned();
        let proof = cpu::run(move || read_proof(&file)).await?;
        let (reader, lock) = self.open_proof(proof, path).await?;
        let archives = locked_archives(&reader, &lock).await?;
        let bytes = archives.values().map(|a| a.size).sum();
        let (client, file, wanted) = (self.clone(), path.to_owned(), archives.clone());
        cpu::run(move || keep_archives(&client, &file, wanted)).await?;
        Ok(Bundle { lock, generation: reader.generation(), archives: archives.len(), bytes })
    }

    async fn open_proof(&self, proof: Proof, path: &Path) -> Result<(SnapshotReader, Lock)> {
        let in_doubt = |e: crate::trust::TrustError| {
            let e = Error::from(e);
            Error::new(e.kind(), format!("the checkpoint in {} cannot be trusted", path.display())).with_source(e)
        };
        let store = InMemory::new();
        for (key, bytes) in proof.objects {
            store.put(&key.as_str().into(), bytes.into()).await.map_err(|e| {
                Error::new(ErrorKind::Invalid, format!("{} holds {key:?}", path.display())).with_source(e)
            })?;
        }
        let options = super::ClientOptions { offline: false, memory: 64 << 20, ..self.inner.options.clone() };
        let store = Store::new(Arc::new(store), &path.display().to_string());
        let bundle = Self::with_trust(store, self.inner.keys.clone(), options, None);
        let seen = Checkpoint::open(proof.checkpoint.into(), &self.inner.keys).map_err(in_doubt)?;
        if let Some(trusted) = &self.inner.trusted {
            let (decision, _) = trusted.see(&seen, Timestamp::now())?;
            decision.require_honest().map_err(in_doubt)?;
        }
        self.require_fresh(&seen)?;
        let reader = bundle.reader(&seen.slot().claim().snapshot, seen.generation()).await?;
        let lock = proof.lock.parse::<Lock>().map_err(|e| {
            Error::new(ErrorKind::Invalid, format!("the lock file in {} cannot be read", path.display())).with_source(e)
        })?;
        // Nobody signs the lock file; it is held to what the registry says, and must be of it and whole.
        if lock.registry() != self.origin() {
            return Err(not_a_bundle(path, format!("its lock file is of {:?}", lock.registry())));
        }
        lock.check(lock.wants()).map_err(|e| not_a_bundle(path, "its lock file is not whole").with_source(e))?;
        Ok((reader, lock))
    }
}

/// What each locked package is to be downloaded as, held to what the registry says of it.
async fn locked_archives(reader: &SnapshotReader, lock: &Lock) -> Result<BTreeMap<Sha256, Archive>> {
    let origin = &reader.snapshot().origin;
    if let Some(other) = lock.packages().iter().find(|p| p.registry != *origin) {
        let message =
            format!("{} is locked from {}, and a bundle is of one registry ({origin})", other.id, other.registry);
        return Err(Error::new(ErrorKind::Invalid, message));
    }
    let ids: Vec<PackageId> = lock.packages().iter().map(|p| p.id.clone()).collect();
    let mut out = BTreeMap::new();
    for (locked, package) in lock.packages().iter().zip(reader.get_many(&ids).await?) {
        let (id, version) = (&locked.id, &locked.version);
        let record = package.as_ref().and_then(|p| p.release(version));
        let record =
            record.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("{origin} has no {id} {version}")))?;
        if record.archive != locked.archive {
            return Err(super::resolve::other_bytes(locked, &record.archive));
        }
        out.insert(locked.archive.sha256, locked.archive.clone());
    }
    Ok(out)
}

impl SnapshotReader {
    /// The links of the nodes that lead to a package.
    async fn path_to(&self, id: &PackageId) -> Result<Vec<Link>> {
        let key = id.key();
        let mut out = Vec::new();
        let mut next: Option<format::Entry> = self.top().find(&key).copied();
        while let Some(entry) = next {
            out.push(entry.link);
            next = match self.client().node(&entry).await? {
                Node::Page(page) => page.find(&key).copied(),
                Node::Leaf(_) => None,
            };
        }
        Ok(out)
    }
}

fn append(tar: &mut tar::Builder<impl Write>, name: &str, size: u64, bytes: &mut dyn Read) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, bytes.take(size))
}

/// The small part of a bundle.
struct Proof {
    checkpoint: Vec<u8>,
    objects: Vec<(String, Vec<u8>)>,
    lock: String,
}

fn not_a_bundle(path: &Path, reason: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, format!("{} is not a bundle: {}", path.display(), reason.into()))
        .with_hint("`ggen-market export` makes one")
}

/// The entries of a bundle: plain files with a key for a name. `visit` ends it by returning true.
fn entries(path: &Path, mut visit: impl FnMut(&str, u64, &mut dyn Read) -> Result<bool>) -> Result<()> {
    let file = File::open(path).map_err(|e| Error::io("read", path, e))?;
    let mut tar = tar::Archive::new(io::BufReader::with_capacity(256 << 10, file));
    let broken = |e: io::Error| not_a_bundle(path, e.to_string());
    for entry in tar.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if !entry.header().entry_type().is_file() {
            return Err(not_a_bundle(path, format!("{name:?} is not a plain file")));
        }
        let size = entry.size();
        if visit(&name, size, &mut entry)? {
            break;
        }
    }
    Ok(())
}

fn read_proof(path: &Path) -> Result<Proof> {
    let mut proof = Proof { checkpoint: Vec::new(), objects: Vec::new(), lock: String::new() };
    let mut left = MAX_PROOF;
    entries(path, |name, size, bytes| {
        let max = match name {
            keys::CHECKPOINT => limits::SIGNED,
            LOCK => MAX_LOCK,
            _ if keys::parse_blob(name).is_some() => limits::NODE,
            _ => return Err(not_a_bundle(path, format!("it holds {name:?}"))),
        };
        if size > max.min(left) {
            return Err(not_a_bundle(path, format!("{name} has {size} bytes")));
        }
        left -= size;
        let mut all = Vec::new();
        bytes.take(max).read_to_end(&mut all).map_err(|e| not_a_bundle(path, e.to_string()))?;
        match name {
            keys::CHECKPOINT => proof.checkpoint = all,
            LOCK => {
                proof.lock = String::from_utf8(all).map_err(|e| not_a_bundle(path, format!("{LOCK}: {e}")))?;
                return Ok(true);
            }
            _ => proof.objects.push((name.to_owned(), all)),
        }
        Ok(false)
    })?;
    if proof.checkpoint.is_empty() || proof.lock.is_empty() {
        return Err(not_a_bundle(path, "it holds no checkpoint or no lock file"));
    }
    Ok(proof)
}

/// Takes the archives, which are to be those of the records and no others.
fn keep_archives(client: &Client, path: &Path, wanted: BTreeMap<Sha256, Archive>) -> Result<()> {
    let mut wanted: HashMap<Sha256, Archive> = wanted.into_iter().collect();
    let mut seen = HashSet::new();
    let mut past_lock = false;
    entries(path, |name, _, bytes| {
        if !past_lock {
            past_lock = name == LOCK;
            return Ok(false);
        }
        let sha256 = keys::parse_blob(name).ok_or_else(|| not_a_bundle(path, format!("it holds {name:?}")))?;
        let Some(archive) = wanted.remove(&sha256) else {
            let reason = if seen.contains(&sha256) { "twice" } else { "which is not locked" };
            return Err(not_a_bundle(path, format!("it holds {name}, {reason}")));
        };
        seen.insert(sha256);
        client.keep_archive(&archive, bytes).map_err(|e| {
            Error::new(e.kind(), format!("{name} in {} cannot be imported", path.display())).with_source(e)
        })?;
        Ok(false)
    })?;
    match wanted.values().next() {
        None => Ok(()),
        Some(archive) => Err(not_a_bundle(path, format!("it lacks the archive {}", archive.sha256))),
    }
}
