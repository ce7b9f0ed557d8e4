//! Writing and reading single objects.

use super::{
    bench::{AT_ONCE, Bench, attributes, pattern},
    finding::{Check, Finding, brief},
};
use crate::{Result, format::keys::Class, package::Sha256};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{
    Attribute, Error as E, GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, path::Path,
};
use std::time::{Duration, Instant};

const OVERWRITE: Check = Check {
    id: "overwrite",
    tried: "replace an object thirty times, and read it after each time",
    breaks: "writers and readers see old checkpoints: a publish that was reported is not seen, or is taken for lost",
    remedy: "switch off whatever caches reads between this machine and the store; use one that reads its own writes",
};

const ABSENT: Check = Check {
    id: "absent",
    tried: "ask for an object that is not there",
    breaks: "writers cannot see where the log ends, and readers take what is missing for forbidden: every publish stops there",
    remedy: "let the credentials list the bucket, which makes of 403 a 404 (AWS: s3:ListBucket on the bucket itself, beside \
             s3:GetObject, s3:PutObject and s3:DeleteObject on its objects)",
};

const KEYS: Check = Check {
    id: "keys",
    tried: "write, read and list keys with + % @ ~, space and letters of other scripts",
    breaks: "nothing that is verified; views for other programs, whose keys hold names and versions (1.0.0+build)",
    remedy: "look for a proxy in front of the store that changes the paths it passes on",
};

const MULTIPART: Check = Check {
    id: "multipart",
    tried: "upload an object in two parts of 5 MiB, read it back, and break another upload off",
    breaks: "archives of more than 8 MiB cannot be published",
    remedy: "let the credentials upload in parts (AWS: s3:PutObject and s3:AbortMultipartUpload); look for a proxy in front \
             of the store that limits the size of what it passes on",
};

/// It works but for the breaking off.
const ABORT: Check = Check {
    breaks: "parts of uploads that broke off stay in the bucket, unseen, and are billed",
    remedy: "let the credentials abort uploads (AWS: s3:AbortMultipartUpload), or let a lifecycle rule of the bucket remove \
             incomplete ones",
    ..MULTIPART
};

const RANGE: Check = Check {
    id: "range",
    tried: "read the middle and the end of an object",
    breaks: "downloads that broke off begin anew, and nothing can be read in place",
    remedy: "look for a proxy in front of the store that ignores the header Range",
};

const ATTRIBUTES: Check = Check {
    id: "attributes",
    tried: "write objects with Content-Type and Cache-Control, and read them back",
    breaks: "whoever reads over HTTP from this store, or from a CDN before it, keeps checkpoints for as long as he likes",
    remedy: "set the headers in the web server or CDN in front of the store: no-cache for checkpoint, a year and immutable \
             for blobs/",
};

const COPY: Check = Check {
    id: "copy_delete",
    tried: "copy an object, and delete the first of the two",
    breaks: "`gc` cannot take away what nothing needs any more",
    remedy: "let the credentials of `gc` read, write and delete objects (AWS: s3:GetObject, s3:PutObject, s3:DeleteObject)",
};

const PACE: Check = Check {
    id: "pace",
    tried: "write and read 64 small objects, some at once",
    breaks: "nothing",
    remedy: "nothing need be done",
};

const MIB: usize = 1 << 20;

pub(super) async fn overwrite(bench: &mut Bench) -> Finding {
    const TIMES: usize = 30;
    let key = bench.key("pointer");
    let run = async {
        let mut behind = 0;
        for n in 0..TIMES {
            let bytes = Bytes::from(format!("version {n}\n"));
            bench.put_as(&key, Class::Pointer, bytes.clone()).await?;
            behind += usize::from(bench.get(&key).await? != bytes);
        }
        Ok(match behind {
            0 => OVERWRITE.ok(format!("{TIMES} times the newest bytes")),
            _ => OVERWRITE.failed(format!("{behind} of {TIMES} times other bytes than those that were just written")),
        })
    };
    OVERWRITE.settle(run.await)
}

pub(super) async fn absent(bench: &Bench) -> Finding {
    let key = bench.unused("absent");
    let head = bench.store.inner.head(&key).await.map(drop);
    let get = bench.store.inner.get(&key).await.map(drop);
    for (verb, answer) in [("HEAD", head), ("GET", get)] {
        match answer {
            Err(E::NotFound { .. }) => {}
            Err(E::PermissionDenied { .. } | E::Unauthenticated { .. }) => {
                return ABSENT.failed(format!("{verb} is answered as forbidden (403), and not as absent (404)"));
            }
            Err(e) => return ABSENT.failed(brief(&bench.error("look for", &key, e))),
            Ok(()) => return ABSENT.failed(format!("{verb} is answered with something, and not as absent (404)")),
        }
    }
    ABSENT.ok("told as absent, not as forbidden")
}

/// `listed`: whether lists can be relied on at all.
pub(super) async fn keys(bench: &mut Bench, listed: bool) -> Finding {
    let names = ["a+b", "a b", "a%2Bb", "a%b", "a@b", "a~b", "aéb", "包"];
    let folder = bench.unused("keys");
    let paths = names.map(|name| bench.key(&format!("keys/{name}")));
    let run = async {
        let mut wrong = Vec::new();
        // All are written first: two keys that the store takes for one show then.
        for (name, path) in names.iter().zip(&paths) {
            if bench.put(path, Bytes::from(*name)).await.is_err() {
                wrong.push(format!("{name:?} cannot be written"));
            }
        }
        let listed = if listed { Some(bench.list(&folder, None).await?) } else { None };
        for (name, path) in names.iter().zip(&paths) {
            match bench.get(path).await {
                Ok(bytes) if bytes == *name => {}
                Ok(_) => wrong.push(format!("{name:?} holds another key's bytes")),
                Err(_) => wrong.push(format!("{name:?} cannot be read")),
            }
            if listed.as_ref().is_some_and(|l| !l.iter().any(|key| key == path.as_ref())) {
                wrong.push(format!("{name:?} is not listed"));
            }
        }
        Ok(if wrong.is_empty() {
            KEYS.ok(format!("{} keys come back as they were given", names.len()))
        } else {
            KEYS.warning(wrong.join(", "))
        })
    };
    match run.await {
        Ok(finding) => finding,
        Err(e) => KEYS.warning(brief(&e)),
    }
}

pub(super) async fn multipart(bench: &mut Bench) -> Finding {
    let (whole, broken) = (bench.key("multipart"), bench.key("multipart-aborted"));
    MULTIPART.settle(two_parts(bench, &whole, &broken).await)
}

async fn two_parts(bench: &Bench, whole: &Path, broken: &Path) -> Result<Finding> {
    let parts = [pattern(1, 5 * MIB), pattern(2, 5 * MIB)];
    let failed = |e| bench.error("write", whole, e);
    let begun = Instant::now();
    let mut upload = bench.store.inner.put_multipart(whole).await.map_err(failed)?;
    let sent = async {
        for part in &parts {
            upload.put_part(PutPayload::from(part.clone())).await?;
        }
        upload.complete().await
    };
    if let Err(e) = sent.await {
        // Parts that stay would be billed; that this fails too is no more to say.
        let _ = upload.abort().await;
        return Err(failed(e));
    }
    let up = begun.elapsed();
    let begun = Instant::now();
    let got = bench.get(whole).await?;
    let down = begun.elapsed();
    if Sha256::of(&got) != Sha256::of(&parts.concat()) {
        return Ok(MULTIPART.failed("what comes back has another digest than what was sent"));
    }
    let failed = |e| bench.error("write", broken, e);
    let mut upload = bench.store.inner.put_multipart(broken).await.map_err(failed)?;
    upload.put_part(PutPayload::from(parts[0].clone())).await.map_err(failed)?;
    if let Err(e) = upload.abort().await {
        return Ok(ABORT.warning(brief(&bench.error("break off the upload of", broken, e))));
    }
    if bench.is_there(broken).await? {
        return Ok(MULTIPART.failed("an upload that was broken off left an object behind"));
    }
    let rate = |took: Duration| got.len() as f64 / 1e6 / took.as_secs_f64().max(1e-6);
    Ok(MULTIPART.ok(format!("{:.1} MB/s up, {:.1} MB/s down; broken off, nothing stays", rate(up), rate(down))))
}

pub(super) async fn range(bench: &mut Bench) -> Finding {
    let key = bench.key("range");
    let bytes = pattern(3, 4096);
    let run = async {
        bench.put(&key, bytes.clone()).await?;
        let mut detail = "right bytes from the middle and from the end";
        for (range, want) in
            [(GetRange::Bounded(1000..1100), bytes.slice(1000..1100)), (GetRange::Suffix(100), bytes.slice(3996..))]
        {
            let options = GetOptions { range: Some(range.clone()), ..GetOptions::default() };
            // The client of Azure refuses to ask for the end of an object.
            if let Err(E::NotSupported { .. }) = bench.store.inner.get_opts(&key, options.clone()).await {
                detail = "right bytes from the middle; the end cannot be asked for here";
                continue;
            }
            let got = bench.get_opts(&key, options).await?;
            if got != want {
                return Ok(RANGE.failed(format!("{} other bytes for {range}", got.len())));
            }
        }
        Ok(RANGE.ok(detail))
    };
    RANGE.settle(run.await)
}

pub(super) async fn attributes_kept(bench: &mut Bench) -> Finding {
    if bench.is_folder() {
        return ATTRIBUTES.skipped("a folder keeps no headers: the web server in front of it sets them");
    }
    let keys = [(Class::Blob, bench.key("attributes-blob")), (Class::Pointer, bench.key("attributes-pointer"))];
    let run = async {
        for (class, key) in keys {
            match bench.put_as(&key, class, Bytes::from_static(b"attributes\n")).await {
                Err(e) if e.kind() == crate::ErrorKind::Invalid => {
                    return Ok(ATTRIBUTES.skipped("the store, or its client, keeps no headers"));
                }
                done => done?,
            }
            let got = bench.store.inner.get(&key).await.map_err(|e| bench.error("read", &key, e))?;
            let wanted = attributes(class);
            for (name, attribute) in
                [("Content-Type", Attribute::ContentType), ("Cache-Control", Attribute::CacheControl)]
            {
                let (got, want) = (got.attributes.get(&attribute), wanted.get(&attribute));
                if got != want {
                    let shown =
                        |v: Option<&object_store::AttributeValue>| v.map_or("nothing".into(), |v| v.to_string());
                    return Ok(ATTRIBUTES.failed(format!("{name}: {} where {} was written", shown(got), shown(want))));
                }
            }
        }
        Ok(ATTRIBUTES.ok("Content-Type and Cache-Control come back"))
    };
    ATTRIBUTES.settle(run.await)
}

pub(super) async fn copy_delete(bench: &mut Bench) -> Finding {
    let (from, to) = (bench.key("copy-from"), bench.key("copy-to"));
    let run = async {
        let bytes = pattern(4, 1000);
        bench.put(&from, bytes.clone()).await?;
        bench.store.inner.copy(&from, &to).await.map_err(|e| bench.error("copy", &from, e))?;
        bench.store.inner.delete(&from).await.map_err(|e| bench.error("delete", &from, e))?;
        Ok(if bench.is_there(&from).await? {
            COPY.failed("what was deleted is still there")
        } else if bench.get(&to).await? != bytes {
            COPY.failed("the copy holds other bytes")
        } else {
            COPY.ok("the copy is there, what was deleted is gone")
        })
    };
    COPY.settle(run.await)
}

pub(super) async fn pace(bench: &mut Bench) -> Finding {
    const COUNT: usize = 64;
    let keys: Vec<_> = (0..COUNT).map(|n| bench.key(&format!("pace/{n}"))).collect();
    let bytes = pattern(5, 1000);
    let bench = &*bench;
    let run = async {
        let puts = timed(keys.iter().map(|key| bench.put(key, bytes.clone())).collect()).await?;
        let gets = timed(keys.iter().map(|key| bench.get(key)).collect()).await?;
        Ok(PACE.ok(format!("puts {puts}; gets {gets}")))
    };
    PACE.settle(run.await)
}

/// Runs requests, some at once, and tells how long they took.
async fn timed<T>(requests: Vec<impl Future<Output = Result<T>>>) -> Result<String> {
    let begun = Instant::now();
    let each = stream::iter(requests).map(async |request| {
        let begun = Instant::now();
        request.await.map(|_| begun.elapsed())
    });
    let mut took: Vec<Duration> = each.buffer_unordered(AT_ONCE).try_collect().await?;
    let rate = took.len() as f64 / begun.elapsed().as_secs_f64().max(1e-6);
    took.sort_unstable();
    let at = |percent: usize| took.get((took.len() * percent / 100).min(took.len().saturating_sub(1)));
    let ms = |percent| at(percent).map_or(0.0, |t| t.as_secs_f64() * 1e3);
    Ok(format!("p50 {:.1} ms, p99 {:.1} ms, {rate:.0}/s", ms(50), ms(99)))
}
