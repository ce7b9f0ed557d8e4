//! `doctor`: exit codes, streams, and what it does not need.

use super::Sandbox;
use crate::support::cdn::{Cdn, Fault};

#[tokio::test(flavor = "multi_thread")]
async fn a_cdn_that_fails_is_code_5_and_a_warning_is_none() {
    let mut s = Sandbox::published();
    // No secret key is needed.
    std::fs::remove_file(s.path("ggen-market.key")).unwrap();
    for (fault, code, label) in [
        (Fault::None, 0, "0 failed, 0 warnings"),
        (Fault::DropsRange, 0, "warning: public_range: it is ignored"),
        (Fault::GzipsBlobs, 5, "problem: public_encoding: the snapshot comes with Content-Encoding: gzip"),
    ] {
        let cdn = Cdn::serve(&s.path("registry"), fault, Vec::new()).await;
        let run = s.run(&["doctor", "--quick", "--public-url", &cdn.url]).code(code).says(&[label]);
        assert_eq!(
            (run.err.contains("  breaks: "), run.err.contains("  do: ")),
            (fault != Fault::None, fault != Fault::None)
        );
        assert_eq!(run.out.lines().count(), 28, "{}", run.out);
        assert!(!s.path("registry/doctor").exists());
        s.set("GGEN_MARKET_PUBLIC_URL", &cdn.url);
        let json = s.run(&["doctor", "--quick", "--json", "--quiet"]).code(code);
        let (failed, document) = (u64::from(code == 5), json.json());
        assert_eq!((&document["store"], &document["failed"]), (&"registry".into(), &failed.into()));
        assert_eq!(document["findings"].as_array().unwrap().len(), 28);
        let last = &document["findings"][27];
        assert_eq!((&last["check"], &last["outcome"], &last["breaks"]), (&"cleanup".into(), &"ok".into(), &().into()));
        // Problems are told also with --quiet, warnings are not.
        assert_eq!(
            (json.err.contains("problem: "), json.err.contains("warning: ")),
            (code == 5, false),
            "{}",
            json.err
        );
    }
}

#[test]
fn what_cannot_be_tried_out_is_said_with_the_usual_codes() {
    let s = Sandbox::new();
    s.run(&["doctor"]).code(2).says(&["no store is set"]);
    s.run(&["doctor", "--store", "nowhere"]).code(1);
    s.run(&["doctor", "--store", "https://packages.example.com"]).code(2).says(&["--public-url"]);
    std::fs::create_dir(s.path("empty")).unwrap();
    s.run(&["doctor", "--store", "empty", "--public-url", "packages.example.com"]).code(2).says(&["is no public URL"]);
    let mut s = s;
    s.set("AWS_ENDPOINT_URL", "http://128.0.0.1:1");
    s.set("AWS_ACCESS_KEY_ID", "nobody");
    s.set("AWS_SECRET_ACCESS_KEY", "hunter2");
    let run = s.run(&["doctor", "--store", "s3://bucket"]).code(4).says(&["cannot write s3://bucket/doctor/"]);
    assert!(run.out.is_empty() && !run.err.contains("hunter2"), "{}", run.err);
}
