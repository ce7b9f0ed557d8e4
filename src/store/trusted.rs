//! What this machine trusted last, for each registry: the newest checkpoint that verified (invariant I23). It outlives the
//! process, so that nobody can bring a reader, or a builder, back to an older state.

use crate::{
    Error, Result,
    package::{Sha256, Timestamp},
    trust::{Checkpoint, Decision, Evidence, Verdict, VerifierKey, decide},
};
use bytes::Bytes;
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

/// The trust state of one registry in a folder of its own, named by its key: a registry that starts anew under a new key
/// starts with no past.
#[derive(Debug, Clone)]
pub(crate) struct TrustedState {
    folder: PathBuf,
    keys: Vec<VerifierKey>,
}

impl TrustedState {
    pub(crate) fn new(state: &Path, keys: &[VerifierKey]) -> Self {
        let name = keys.first().map(|k| Sha256::of(k.to_string().as_bytes()).short()).unwrap_or_default();
        Self { folder: state.join("trust").join(name), keys: keys.to_vec() }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("checkpoint")
    }

    /// The checkpoint trusted last. A file that does not verify is as good as none, and said so: it protects against a
    /// hostile store, not against somebody who can write to this machine's disk.
    pub(crate) fn load(&self) -> Result<Option<Checkpoint>> {
        let path = self.path();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read", &path, e)),
        };
        match Checkpoint::open(Bytes::from(bytes), &self.keys) {
            Ok(checkpoint) => Ok(Some(checkpoint)),
            Err(e) => {
                tracing::warn!("ignoring the trust state {}: {e}", path.display());
                Ok(None)
            }
        }
    }

    /// Decides about a checkpoint that was seen, and remembers it where it is newer, before anybody uses it. Two processes
    /// that do so at once are put in order by a lock, so the state never decreases.
    pub(crate) fn see(&self, seen: &Checkpoint, now: Timestamp) -> Result<(Decision, Checkpoint)> {
        // Most calls see what is there already, and need no lock.
        let trusted = self.load()?;
        let decision = decide(trusted.as_ref(), seen, now);
        if let Verdict::Misbehaviour(evidence) = &decision.verdict {
            self.keep_evidence(evidence)?;
        }
        if !decision.replaces_trusted() {
            return Ok((decision, trusted.unwrap_or_else(|| seen.clone())));
        }
        fs::create_dir_all(&self.folder).map_err(|e| Error::io("create", &self.folder, e))?;
        let lock_path = self.folder.join("lock");
        let lock = File::create(&lock_path).map_err(|e| Error::io("create", &lock_path, e))?;
        lock.lock().map_err(|e| Error::io("lock", &lock_path, e))?;
        let trusted = self.load()?;
        let decision = decide(trusted.as_ref(), seen, now);
        if decision.replaces_trusted() {
            write_durably(&self.path(), seen.bytes())?;
            return Ok((decision, seen.clone()));
        }
        Ok((decision, trusted.unwrap_or_else(|| seen.clone())))
    }

    /// Saves both notes of a registry that contradicted itself (invariant I24).
    fn keep_evidence(&self, evidence: &Evidence) -> Result<()> {
        fs::create_dir_all(&self.folder).map_err(|e| Error::io("create", &self.folder, e))?;
        for bytes in [&evidence.trusted, &evidence.seen] {
            write_durably(&self.folder.join(format!("evidence-{}", Sha256::of(bytes).short())), bytes)?;
        }
        tracing::warn!("both notes are kept as evidence in {}", self.folder.display());
        Ok(())
    }
}

/// Writes a file so that a crash leaves the old one or the new one: temporary file, flush, rename, flush of the folder.
fn write_durably(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let failed = |e| Error::io("write", path, e);
    let mut temporary = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    temporary.write_all(bytes).and_then(|()| temporary.as_file().sync_all()).map_err(failed)?;
    temporary.persist(path).map_err(|e| failed(e.error))?;
    // Not every system can flush a folder; where it cannot, the rename is as durable as it gets.
    let _ = File::open(folder).and_then(|f| f.sync_all());
    Ok(())
}
