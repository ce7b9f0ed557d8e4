//! An audit of everything that goes on where another one was interrupted.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_audit_goes_on_where_it_stopped() {
    let world = World::new().await;
    for i in 0..300 {
        a_crate(&world, &format!("crate-{i}"), "1.0.0", &[]);
    }
    world.build().await.unwrap();
    let client = world.client_with(|_| {});
    let mut resume = VerifyOptions::all();
    resume.resume = true;
    // Interrupted half-way: the future is dropped.
    let all = VerifyOptions::all();
    let mut left = 0;
    for patience in 1..200 {
        world.referee.take_reads();
        let cut = tokio::time::timeout(Duration::from_millis(patience), client.verify(&all)).await.is_err();
        left = world.referee.take_reads().iter().filter(|k| k.starts_with("blobs")).count();
        if cut && left > 60 {
            break;
        }
    }
    assert!(left > 60 && left < 600, "{left} of 600 were read when it was cut off");
    let second = client.verify(&resume).await.unwrap();
    assert!(second.problems.is_empty(), "{:?}", second.problems);
    let read: BTreeSet<_> =
        world.referee.take_reads().into_iter().filter(|k| k != "mirror.json" && k != "gc/boundary").collect();
    assert!(second.skipped > 30, "{}", second.skipped);
    assert_eq!(second.skipped + second.objects, world.referee.objects().len() as u64);
    assert_eq!(world.referee.objects().len() - read.len(), second.skipped as usize, "what was skipped was not read");
    // It came to its end: there is nothing to go on from any more.
    let third = client.verify(&resume).await.unwrap();
    assert_eq!((third.skipped, third.objects), (0, world.referee.objects().len() as u64));
    assert_eq!(fs::read_dir(world.dir.path().join("cache/verify")).unwrap().count(), 0);
}

/// Without `resume` everything is read, whatever an earlier run left; and of another copy, or a later generation, too.
#[tokio::test(flavor = "multi_thread")]
async fn an_audit_trusts_no_other_audit_than_it_was_told_to() {
    let world = World::new().await;
    for i in 0..40 {
        a_crate(&world, &format!("crate-{i}"), "1.0.0", &[]);
    }
    world.build().await.unwrap();
    let client = world.client_with(|_| {});
    let mut resume = VerifyOptions::all();
    resume.resume = true;
    // The journal as a run leaves it that was killed when it had read every archive.
    let journal = || world.dir.path().join("cache/verify");
    let leave = async || {
        // Let go after so many looks at it, more each time: by a clock, a fast machine would be done and a slow one not begun.
        let interrupted = async |looks: u32| {
            let all = VerifyOptions::all();
            let mut audit = Box::pin(client.verify(&all));
            for _ in 0..looks {
                if futures::poll!(&mut audit).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(audit);
            fs::read_dir(journal()).ok()?.next().map(|file| file.unwrap().path())
        };
        let mut found = None;
        for looks in (0..40).flat_map(|_| 1..60).map(|n: u32| n * n) {
            found = interrupted(looks).await;
            if found.is_some() {
                break;
            }
        }
        let file = found.expect("no audit was interrupted");
        let objects = world.referee.objects();
        let head = fs::read_to_string(&file).unwrap().lines().next().unwrap().to_owned();
        let all: String =
            objects.keys().filter_map(|k| k.strip_prefix("blobs/sha256/")).map(|d| format!("{d}\n")).collect();
        fs::write(file, format!("{head}\n{all}")).unwrap();
    };
    leave().await;
    let archive = world
        .referee
        .objects()
        .into_iter()
        .find(|(_, b)| second_reader::cited(b).is_empty() && b.len() > 100 && b.starts_with(&[0x1f, 0x8b]))
        .unwrap();
    let mut bad = archive.1.clone();
    *bad.last_mut().unwrap() ^= 1;
    world.referee.plant(&archive.0, &bad).await;
    let trusting = client.verify(&resume).await.unwrap();
    assert_eq!(trusting.skipped, 40, "archives, and nothing of which its place matters");
    assert!(trusting.problems.is_empty(), "as it was told");
    leave().await;
    let plain = client.verify(&VerifyOptions::all()).await.unwrap();
    assert_eq!((plain.skipped, plain.problems.len()), (0, 1));
    leave().await;
    world.referee.plant(&archive.0, &archive.1).await;
    world.registry().refresh(&world.options).await.unwrap();
    world.referee.plant(&archive.0, &bad).await;
    let later = client.verify(&resume).await.unwrap();
    assert_eq!((later.skipped, later.problems.len()), (0, 1), "another generation");
}
