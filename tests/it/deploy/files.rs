//! YAML, JSON and unit files, read as those read them that they are for.

use crate::cli::Sandbox;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
};
use yaml_rust2::{Yaml, YamlLoader};

const KEY: &str = "https://registry.example.com/ggen";

/// A registry that knows its bucket and its address, with that template written out.
fn written(template: &str) -> Sandbox {
    let mut s = Sandbox::with_registry();
    s.set("GGEN_MARKET_REGISTRY", KEY);
    s.run(&["init", "--template", template, "--store", "s3://some-bucket/ggen"]).ok();
    s
}

pub(super) fn yaml(s: &Sandbox, path: &str) -> Vec<Yaml> {
    YamlLoader::load_from_str(&s.read(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn json_file(s: &Sandbox, path: &str) -> Value {
    serde_json::from_str(&s.read(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

pub(super) fn text<'a>(yaml: &'a Yaml, what: &str) -> &'a str {
    yaml.as_str().unwrap_or_else(|| panic!("{what} is no text: {yaml:?}"))
}

#[test]
fn the_workflow_gives_its_secrets_to_the_steps_that_write_and_prints_none() {
    let s = written("github-actions");
    let [workflow] = &yaml(&s, ".github/workflows/registry.yml")[..] else { panic!("one document") };
    let permissions = workflow["permissions"].as_hash().unwrap();
    assert_eq!(permissions.len(), 1);
    assert_eq!(workflow["permissions"]["contents"].as_str(), Some("read"));
    assert_eq!(workflow["concurrency"]["cancel-in-progress"].as_bool(), Some(false));
    let on = &workflow["on"];
    assert!(on["pull_request"].is_badvalue() && on["pull_request_target"].is_badvalue(), "no stranger's code");
    let crons: Vec<_> = on["schedule"].as_vec().unwrap().iter().map(|c| text(&c["cron"], "cron")).collect();
    assert!(crons.iter().all(|c| c.split(' ').count() == 5), "{crons:?}");

    let jobs = workflow["jobs"].as_hash().unwrap();
    assert_eq!(jobs.len(), 1);
    let job = &workflow["jobs"]["registry"];
    assert!(job["permissions"].is_badvalue() && job["timeout-minutes"].as_i64().is_some());
    assert_eq!(job["environment"].as_str(), Some("registry"));
    assert!(!format!("{:?} {:?}", workflow["env"], job["env"]).contains("secrets."), "not for every step");
    let steps = job["steps"].as_vec().unwrap();
    let mut with_secrets = Vec::new();
    for step in steps {
        let run = step["run"].as_str();
        assert!(run.is_some() != step["uses"].as_str().is_some(), "one of the two: {step:?}");
        // What is put into a script by `${{ }}` is run as a part of it, and a secret there is printed with it.
        assert!(run.is_none_or(|r| !r.contains("${{")), "{run:?}");
        let secrets: Vec<_> =
            step["env"].as_hash().into_iter().flatten().filter(|(_, v)| text(v, "env").contains("secrets.")).collect();
        if !secrets.is_empty() {
            let names: Vec<_> = secrets.iter().map(|(name, _)| text(name, "name")).collect();
            assert_eq!(names, ["GGEN_MARKET_SECRET_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]);
            with_secrets.push(run.unwrap().split(' ').nth(1).unwrap().to_owned());
        }
        for (name, value) in secrets {
            assert_eq!(text(value, "value"), format!("${{{{ secrets.{} }}}}", text(name, "name")));
        }
    }
    assert_eq!(with_secrets, ["build", "refresh", "gc"]);
    assert_eq!(steps[0]["with"]["persist-credentials"].as_bool(), Some(false));
    // A change of the settings is published, too.
    let paths: Vec<_> = on["push"]["paths"].as_vec().unwrap().iter().map(|p| text(p, "path")).collect();
    assert!(paths.contains(&"ggen-market.toml"), "{paths:?}");
    // The condition of the weekly step names one of the schedules.
    let weekly = steps.iter().find(|s| s["name"].as_str() == Some("Collect garbage")).unwrap();
    let condition = text(&weekly["if"], "if");
    let named = |c: &&str| condition == format!("${{{{ !cancelled() && github.event.schedule == '{c}' }}}}");
    assert!(crons.iter().any(named), "{condition}");
    let run = |name: &str| steps.iter().find(|s| s["name"].as_str() == Some(name)).map(|s| text(&s["run"], "run"));
    assert_eq!(run("Build"), Some("ggen-market build --source packages --store s3://some-bucket/ggen"));
    let verify = format!("ggen-market verify --all --registry {KEY} --key {}", s.key());
    assert_eq!(run("Verify everything").map(|r| r.replace('"', "")), Some(verify));
}

/// A build that refuses a package ends with code 3 as long as the package is there: nothing else may wait for it to go.
#[test]
fn a_refused_package_holds_up_nothing_else_in_the_workflow() {
    let s = written("github-actions");
    let [workflow] = &yaml(&s, ".github/workflows/registry.yml")[..] else { panic!("one document") };
    let steps = workflow["jobs"]["registry"]["steps"].as_vec().unwrap();
    let name = |step: &Yaml| text(&step["name"], "name").to_owned();
    let build = steps.iter().position(|s| s["name"].as_str() == Some("Build")).unwrap();
    for step in &steps[build + 1..] {
        // Without one of these words a step is skipped once another has failed.
        let condition = step["if"].as_str().unwrap_or_default();
        assert!(condition.contains("!cancelled()") || condition == "always()", "{}: {condition:?}", name(step));
    }
    // What `actions/cache` would save only where everything went well.
    let using = |action: &str| -> Vec<(usize, &Yaml)> {
        let is_it = |s: &Yaml| s["uses"].as_str().is_some_and(|u| u.starts_with(action));
        steps.iter().enumerate().filter(|(_, s)| is_it(s)).collect()
    };
    assert_eq!(using("actions/cache@").len(), 0);
    let (restored, saved) = (using("actions/cache/restore@"), using("actions/cache/save@"));
    let [(_, program), (_, state)] = restored[..] else { panic!("two are restored") };
    let [(kept, keep), (_, remember)] = saved[..] else { panic!("two are saved") };
    for (restore, save) in [(program, keep), (state, remember)] {
        for part in ["path", "key"] {
            assert_eq!(restore["with"][part], save["with"][part], "{}", name(save));
        }
    }
    assert!(kept < build, "a program that was built is kept, whatever it says of the packages");
    assert_eq!(keep["if"], steps[kept - 1]["if"], "where it was built");
    assert_eq!(text(&remember["if"], "if"), "always()");
    // Of the runs of a group that wait, the last one takes the place of the others: those that do different things are in
    // different ones.
    let group = text(&workflow["concurrency"]["group"], "group");
    assert!(["github.event_name", "github.event.schedule"].iter().all(|part| group.contains(part)), "{group}");
}

#[test]
fn the_cron_jobs_hold_no_secret_and_may_do_little() {
    let s = written("kubernetes");
    let documents = yaml(&s, "deploy/kubernetes/cronjobs.yaml");
    assert_eq!(documents[0]["kind"].as_str(), Some("ServiceAccount"));
    assert_eq!(documents[0]["automountServiceAccountToken"].as_bool(), Some(false));
    let mut args = BTreeMap::new();
    for job in &documents[1..] {
        assert_eq!((job["apiVersion"].as_str(), job["kind"].as_str()), (Some("batch/v1"), Some("CronJob")));
        let name = text(&job["metadata"]["name"], "name");
        let spec = &job["spec"];
        assert_eq!(spec["concurrencyPolicy"].as_str(), Some("Forbid"), "{name}");
        assert_eq!(text(&spec["schedule"], "schedule").split(' ').count(), 5, "{name}");
        let pod = &spec["jobTemplate"]["spec"]["template"]["spec"];
        assert_eq!(pod["serviceAccountName"], documents[0]["metadata"]["name"], "{name}");
        assert_eq!(pod["automountServiceAccountToken"].as_bool(), Some(false), "{name}");
        assert_eq!(pod["restartPolicy"].as_str(), Some("Never"), "{name}");
        assert_eq!(pod["securityContext"]["runAsNonRoot"].as_bool(), Some(true), "{name}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"].as_str(), Some("RuntimeDefault"), "{name}");
        let [container] = &pod["containers"].as_vec().unwrap()[..] else { panic!("{name}: one container") };
        let allowed = &container["securityContext"];
        assert_eq!(allowed["allowPrivilegeEscalation"].as_bool(), Some(false), "{name}");
        assert_eq!(allowed["readOnlyRootFilesystem"].as_bool(), Some(true), "{name}");
        assert_eq!(allowed["capabilities"]["drop"][0].as_str(), Some("ALL"), "{name}");
        for (kind, what) in [("requests", "cpu"), ("requests", "memory"), ("limits", "memory")] {
            assert!(container["resources"][kind][what].as_str().is_some(), "{name}: {kind} {what}");
        }
        let env: BTreeMap<_, _> =
            container["env"].as_vec().unwrap().iter().map(|e| (text(&e["name"], "name"), e)).collect();
        for secret in ["GGEN_MARKET_SECRET_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            assert!(env[secret]["value"].is_badvalue(), "{name}: {secret} stands in the file");
            assert!(env[secret]["valueFrom"]["secretKeyRef"]["name"].as_str().is_some(), "{name}: {secret}");
        }
        // What is mounted is there; and where nothing else can be written to, caches and temporary files have a place.
        let volumes: Vec<_> = pod["volumes"].as_vec().unwrap().iter().map(|v| text(&v["name"], "volume")).collect();
        let mounts = container["volumeMounts"].as_vec().unwrap();
        assert_eq!(mounts.iter().map(|m| text(&m["name"], "mount")).collect::<Vec<_>>(), volumes, "{name}");
        for place in ["GGEN_MARKET_CACHE", "TMPDIR"] {
            assert_eq!(env[place]["value"], mounts[0]["mountPath"], "{name}: {place}");
        }
        let words: Vec<_> = container["args"].as_vec().unwrap().iter().map(|a| text(a, "argument")).collect();
        args.insert(name.to_owned(), words.join(" "));
    }
    let want = [
        ("ggen-market-build", "build --source /packages --store s3://some-bucket/ggen"),
        ("ggen-market-gc", "gc --store s3://some-bucket/ggen --keep 10 --grace 48h"),
        ("ggen-market-refresh", "refresh --store s3://some-bucket/ggen"),
    ];
    assert_eq!(args, want.map(|(n, a)| (n.to_owned(), a.to_owned())).into());
}

/// Sections with their settings, in their order.
pub(super) type Unit = Vec<(String, Vec<(String, String)>)>;

/// Reads a unit file: sections, `Key=value`, comments; nothing else may be in it.
pub(super) fn unit(name: &str, text: &str) -> Unit {
    let mut unit = Unit::new();
    for line in text.lines().filter(|l| !l.is_empty() && !l.starts_with(['#', ';'])) {
        if let Some(section) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            unit.push((section.into(), Vec::new()));
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("{name}: {line}"));
        assert!(key.chars().all(|c| c.is_ascii_alphanumeric()), "{name}: {line}");
        unit.last_mut().unwrap_or_else(|| panic!("{name}: {line} is in no section")).1.push((key.into(), value.into()));
    }
    unit
}

pub(super) fn setting<'a>(unit: &'a Unit, section: &str, key: &str) -> Vec<&'a str> {
    let sections = unit.iter().filter(|(s, _)| s == section).flat_map(|(_, settings)| settings);
    sections.filter(|(k, _)| k == key).map(|(_, v)| v.as_str()).collect()
}

#[test]
fn the_units_are_hardened_and_each_timer_has_its_service() {
    let s = written("systemd");
    let read = |name: &str| unit(name, &s.read(&format!("deploy/systemd/{name}")));
    let common = read("ggen-market-.service.d/common.conf");
    for (key, value) in [
        ("DynamicUser", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "read-only"),
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", ""),
        ("PrivateTmp", "yes"),
        ("RestrictSUIDSGID", "yes"),
        ("ReadWritePaths", ""),
        ("Type", "oneshot"),
    ] {
        assert_eq!(setting(&common, "Service", key), [value], "{key}");
    }
    let credentials = setting(&common, "Service", "LoadCredential");
    assert_eq!(credentials, ["key:/etc/ggen-market/registry.key", "config:/etc/ggen-market/ggen-market.toml"]);
    let environment = setting(&common, "Service", "Environment");
    let want = ["GGEN_MARKET_CACHE=%S/ggen-market", "GGEN_MARKET_KEY_FILE=%d/key", "GGEN_MARKET_CONFIG=%d/config"];
    assert_eq!(environment, want);
    for (verb, command) in [
        ("build", "build --source /YOUR-PACKAGES --store s3://some-bucket/ggen"),
        ("refresh", "refresh --store s3://some-bucket/ggen"),
        ("gc", "gc --store s3://some-bucket/ggen --keep 10 --grace 48h"),
    ] {
        let service = read(&format!("ggen-market-{verb}.service"));
        let start = setting(&service, "Service", "ExecStart");
        assert_eq!(start, [format!("/usr/local/bin/ggen-market {command}")]);
        let timer = read(&format!("ggen-market-{verb}.timer"));
        assert_eq!(setting(&timer, "Timer", "OnCalendar").len(), 1, "{verb}");
        assert_eq!(setting(&timer, "Timer", "Persistent"), ["yes"], "{verb}");
        assert_eq!(setting(&timer, "Install", "WantedBy"), ["timers.target"], "{verb}");
    }
}

#[test]
fn systemd_finds_no_fault_with_the_units() {
    let silent = |c: &mut Command| c.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success());
    if !silent(Command::new("systemd-analyze").arg("--version")) {
        println!("skipped: there is no systemd-analyze on this machine");
        return;
    }
    let s = written("systemd");
    let units = ["build", "gc", "refresh"];
    for verb in units {
        // systemd looks whether the program is there.
        let path = format!("deploy/systemd/ggen-market-{verb}.service");
        s.write(&path, s.read(&path).replace("/usr/local/bin/ggen-market", env!("CARGO_BIN_EXE_ggen-market")));
    }
    let check = |s: &Sandbox| {
        let mut verify = Command::new("systemd-analyze");
        verify.args(["verify", "--man=no", "--recursive-errors=no"]);
        verify.args(
            units
                .iter()
                .flat_map(|u| ["service", "timer"].map(|k| s.path(&format!("deploy/systemd/ggen-market-{u}.{k}")))),
        );
        verify.env("SYSTEMD_UNIT_PATH", format!("{}:", s.path("deploy/systemd").display())).stdin(Stdio::null());
        let output = verify.output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let (ok, said) = check(&s);
    let ours: Vec<_> = said.lines().filter(|l| l.contains("ggen-market")).collect();
    assert!(ok && ours.is_empty(), "{said}");
    // It would have said something.
    let path = "deploy/systemd/ggen-market-.service.d/common.conf";
    s.write(path, s.read(path).replace("PrivateTmp=yes", "PrivateTmpp=yes"));
    assert!(check(&s).1.contains("PrivateTmpp"), "the common settings are read too");
    for timer in units {
        let text = s.read(&format!("deploy/systemd/ggen-market-{timer}.timer"));
        let when = text.lines().find_map(|l| l.strip_prefix("OnCalendar=")).unwrap();
        assert!(silent(Command::new("systemd-analyze").args(["calendar", when])), "{when}");
    }
}

/// Everybody on a machine sees the arguments of its processes.
#[test]
fn no_command_of_a_template_has_a_secret_among_its_arguments() {
    let s = Sandbox::with_registry();
    let mut texts = vec![("docs/deploy.md".to_owned(), include_str!("../../../docs/deploy.md").to_owned())];
    let all = ["nginx", "cloudfront", "r2", "minio", "github-actions", "kubernetes", "systemd"];
    for template in all {
        let files = s.run(&["init", "--template", template]).ok().out;
        texts.extend(files.lines().map(|f| (f.to_owned(), s.read(f))));
    }
    assert!(texts.len() > all.len());
    for (file, text) in &texts {
        let text = text.replace("\\\n", " ");
        for command in text.lines().flat_map(|l| l.split(" | ")) {
            // A part of the shell, and no process.
            let is_printf = command.trim_start_matches(['#', ' ']).starts_with("printf ");
            let told = ["--from-literal", "--user ", "--header \"Authorization", "--header \"X-Auth"];
            assert!(is_printf || !told.iter().any(|t| command.contains(t)), "{file}: {command}");
        }
    }
}

#[test]
#[cfg(unix)]
fn curl_is_given_the_token_of_cloudflare_where_nobody_sees_it() {
    let s = written("r2");
    let page = s.read("deploy/r2/README.md");
    let block = page.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    for program in ["aws", "curl"] {
        s.write(
            &format!("bin/{program}"),
            "#!/bin/sh\necho \"$0 $*\" >> said\n[ \"$1\" != --config ] || cat > config\n",
        );
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(s.path(&format!("bin/{program}")), mode).unwrap();
    }
    let path = format!("{}:/usr/bin:/bin", s.path("bin").display());
    let mut shell = Command::new("sh");
    shell.args(["-ec", block]).current_dir(s.path(".")).env("PATH", path).stdin(Stdio::null());
    shell.env("CLOUDFLARE_API_TOKEN", "hunter2").env("ZONE_ID", "zone");
    assert!(shell.status().unwrap().success(), "{block}");
    let said = s.read("said");
    assert!(said.lines().count() == 2 && said.contains("/zones/zone/") && !said.contains("hunter2"), "{said}");
    assert_eq!(s.read("config"), "header = \"Authorization: Bearer hunter2\"\n");
}

/// The statement of a policy with that name.
fn statement<'a>(policy: &'a Value, sid: &str) -> &'a Value {
    let all = policy["Statement"].as_array().unwrap();
    all.iter().find(|s| s["Sid"] == sid).unwrap_or_else(|| panic!("no statement {sid} in {policy}"))
}

const OBJECTS: &str = "arn:aws:s3:::some-bucket/ggen/";

#[test]
fn the_policies_let_everybody_read_and_nobody_touch_the_log() {
    let s = written("cloudfront");
    for (file, reader) in [
        ("bucket-policy.json", json!({ "Service": "cloudfront.amazonaws.com" })),
        ("bucket-policy-public.json", json!("*")),
    ] {
        let policy = json_file(&s, &format!("deploy/cloudfront/{file}"));
        assert_eq!(policy["Version"], "2012-10-17");
        assert_eq!(policy["Statement"].as_array().unwrap().len(), 4);
        let read = statement(&policy, "ReadTheRegistry");
        assert_eq!(
            (&read["Effect"], &read["Action"], &read["Principal"]),
            (&json!("Allow"), &json!("s3:GetObject"), &reader)
        );
        let objects: Vec<_> = read["Resource"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r.as_str().unwrap().strip_prefix(OBJECTS).unwrap())
            .collect();
        assert!(
            ["checkpoint", "gc/boundary", "mirror.json", "log/*", "blobs/*"].iter().all(|o| objects.contains(o)),
            "{objects:?}"
        );
        assert!(
            !objects.iter().any(|o| *o == "*" || ["gc/*", "trash", "views", "doctor"].iter().any(|p| o.starts_with(p))),
            "{objects:?}"
        );
        // Without this one an absent key is answered with 403.
        let list = statement(&policy, "AbsentIsNotFound");
        assert_eq!(
            (&list["Effect"], &list["Action"], &list["Principal"]),
            (&json!("Allow"), &json!("s3:ListBucket"), &reader)
        );
        assert_eq!(list["Resource"], "arn:aws:s3:::some-bucket");
        assert_eq!(read.get("Condition").is_some(), file == "bucket-policy.json");
        assert_eq!(read.get("Condition"), list.get("Condition"));
        let create = statement(&policy, "CommitsAreOnlyCreated");
        assert_eq!(
            create,
            &json!({
                "Sid": "CommitsAreOnlyCreated", "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject",
                "Resource": format!("{OBJECTS}log/*"),
                "Condition": { "Null": { "s3:if-none-match": "true" }, "Bool": { "s3:ObjectCreationOperation": "true" } }
            })
        );
        let stay = statement(&policy, "CommitsStay");
        assert_eq!((&stay["Effect"], &stay["Resource"]), (&json!("Deny"), &json!(format!("{OBJECTS}log/*"))));
        assert_eq!(stay["Action"], json!(["s3:DeleteObject", "s3:DeleteObjectVersion"]));
    }
    // Publishers delete nothing but what doctor leaves, the collector nothing that a commit is made of.
    let deletes = |file: &str| -> Vec<String> {
        let policy = json_file(&s, &format!("deploy/cloudfront/{file}"));
        let list = |v: &Value| v.as_array().cloned().unwrap_or_else(|| vec![v.clone()]);
        let all = policy["Statement"].as_array().unwrap().iter();
        let those = all.filter(|s| list(&s["Action"]).iter().any(|a| a.as_str().unwrap().starts_with("s3:Delete")));
        those
            .flat_map(|s| list(&s["Resource"]))
            .map(|r| r.as_str().unwrap().strip_prefix(OBJECTS).unwrap().into())
            .collect()
    };
    assert_eq!(deletes("publisher-policy.json"), ["doctor/*"]);
    assert_eq!(deletes("collector-policy.json"), ["blobs/*", "gc/*", "trash/*"]);
    let publisher = json_file(&s, "deploy/cloudfront/publisher-policy.json");
    let put = statement(&publisher, "ReadAndPut");
    let actions = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"];
    assert_eq!((&put["Action"], &put["Resource"]), (&json!(actions), &json!(format!("{OBJECTS}*"))));
}

#[test]
fn cdns_keep_what_never_changes_and_revalidate_the_rest() {
    let s = written("cloudfront");
    for (file, default) in [("cache-immutable.json", 86_400), ("cache-checkpoint.json", 0)] {
        let policy = json_file(&s, &format!("deploy/cloudfront/{file}"));
        // A minimum would be kept whatever the object says; another encoding would be other bytes.
        assert_eq!((&policy["MinTTL"], &policy["DefaultTTL"]), (&json!(0), &json!(default)), "{file}");
        let key = &policy["ParametersInCacheKeyAndForwardedToOrigin"];
        assert_eq!(key["EnableAcceptEncodingGzip"], false, "{file}");
        assert_eq!(key["EnableAcceptEncodingBrotli"], false, "{file}");
        let page = s.read("deploy/cloudfront/README.md");
        assert!(page.contains(&format!("`{}`", policy["Name"].as_str().unwrap())), "{file} is named in the page");
    }
    assert_eq!(json_file(&s, "deploy/cloudfront/cache-immutable.json")["MaxTTL"], 31_536_000);
    let r2 = written("r2");
    for (s, template) in [(&s, "cloudfront"), (&r2, "r2")] {
        let rules = &json_file(s, &format!("deploy/{template}/lifecycle.json"))["Rules"];
        assert_eq!(rules[0]["Filter"]["Prefix"], "ggen/");
        assert!(rules[0]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"].as_i64().unwrap() > 1);
        let expired: Vec<_> = rules.as_array().unwrap().iter().filter(|r| r.get("Expiration").is_some()).collect();
        assert_eq!(expired.len(), 1, "nothing of the registry ends by itself");
        assert_eq!(expired[0]["Filter"]["Prefix"], "ggen/doctor/");
    }
    let rules = json_file(&r2, "deploy/r2/cache-rules.json");
    let checkpoint = &rules["rules"][0];
    let expression = "(http.host eq \"registry.example.com\" and http.request.uri.path in {\"/ggen/checkpoint\" \"/ggen/gc/boundary\" \"/ggen/mirror.json\"})";
    assert_eq!(
        (&checkpoint["expression"], &checkpoint["action_parameters"]["cache"]),
        (&json!(expression), &json!(false))
    );
    let blobs = &rules["rules"][1];
    for part in ["\"/ggen/blobs/\"", "\"/ggen/log/\"", "\"registry.example.com\""] {
        assert!(blobs["expression"].as_str().unwrap().contains(part), "{part}");
    }
    let edge = &blobs["action_parameters"]["edge_ttl"];
    assert_eq!(edge["mode"], "respect_origin");
    assert_eq!(edge["status_code_ttl"], json!([{ "status_code_range": { "from": 400, "to": 599 }, "value": -1 }]));
    // Every file that a page tells to use is beside it, and is used.
    for (s, template) in [(&s, "cloudfront"), (&r2, "r2")] {
        let page = s.read(&format!("deploy/{template}/README.md"));
        for entry in std::fs::read_dir(s.path(&format!("deploy/{template}"))).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(name == "README.md" || page.contains(&name), "{template}: the page says nothing of {name}");
        }
        for name in page.split("file://").skip(1).map(|r| r.split_whitespace().next().unwrap()) {
            assert!(s.path(&format!("deploy/{template}/{name}")).is_file(), "{template}: {name}");
        }
    }
}
