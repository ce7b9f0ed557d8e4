//! Measures what views add to a build: makes so many small crates, or packs, and publishes them without views and with.
//! `cargo run --release --example views -- crates 10000`; `packs` for packs, `site` for the web site. A third argument says how
//! often (3).
//!
//! The two builds take turns, each into a store of its own (in `TMPDIR`). Prints one table; `docs/performance.md` quotes it. On a busy
//! machine go by the CPU seconds, which are those of all threads, in the kernel too.

#![expect(clippy::print_stdout, reason = "this is what it is for")]

use ggen_marketplace::{
    BuildOptions, Registry, SigningKey, Store, View, ViewOptions,
    package::{
        Timestamp,
        archive::{self, Limits},
    },
};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let what = args.next().unwrap_or_else(|| "crates".into());
    let crates = what != "packs";
    let count: u32 = args.next().map_or(Ok(10_000), |n| n.parse())?;
    let rounds: usize = args.next().map_or(Ok(3), |n| n.parse())?;
    let dir = tempfile::tempdir()?;
    let sources = dir.path().join("sources");
    fs::create_dir(&sources)?;
    for i in 0..count {
        add(&sources, crates, i, "1.0.0")?;
    }
    let views: &[View] = match what.as_str() {
        "packs" => &[View::Plain, View::Ggen],
        "site" => &[View::Site],
        _ => &[View::Plain, View::Cargo],
    };
    let (mut seconds, mut busy) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for round in 0..rounds {
        for with in 0..2 {
            let folder = dir.path().join(format!("{with}-{round}"));
            let (registry, options) = registry(&folder, if with == 1 { views } else { &[] }).await?;
            let (began, before) = (Instant::now(), cpu_seconds());
            let report = registry.build(std::slice::from_ref(&sources), &options).await?.require_views()?;
            seconds[with].push(began.elapsed().as_secs_f64());
            busy[with].push(cpu_seconds() - before);
            let files: u64 = report.views.iter().map(|v| v.files).sum();
            let bytes: u64 = report.views.iter().map(|v| v.bytes).sum();
            println!(
                "full {:7.3} s, {:5.2} CPU s  {} added, {} puts, {files} files of views ({:.2} a package), {:.1} MB",
                seconds[with][round],
                busy[with][round],
                report.added,
                report.puts,
                files as f64 / f64::from(count),
                bytes as f64 / 1e6
            );
            if round + 1 == rounds {
                incremental(&registry, &options, dir.path(), (crates, count, with == 1)).await?;
            } else {
                fs::remove_dir_all(folder)?;
            }
        }
    }
    let median = |of: &mut Vec<f64>| {
        of.sort_by(f64::total_cmp);
        of[of.len() / 2]
    };
    for (what, [without, with]) in [("s", &mut seconds), ("CPU s", &mut busy)] {
        let (without, with) = (median(without), median(with));
        println!(
            "full, median: {without:.3} {what} without views, {with:.3} {what} with {views:?}: {:+.0} %",
            (with / without - 1.0) * 100.0
        );
    }
    Ok(())
}

/// What this process has used of all processors, where the system tells (else nothing).
fn cpu_seconds() -> f64 {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the program's name, which may hold anything; in hundredths.
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// One release more, and nothing new.
async fn incremental(
    registry: &Registry,
    options: &BuildOptions,
    dir: &Path,
    (crates, count, with): (bool, u32, bool),
) -> Result<()> {
    let mut times = Vec::new();
    for i in 0..9 {
        let one = dir.join(format!("one-{with}-{i}"));
        fs::create_dir(&one)?;
        add(&one, crates, (i * 37) % count, "1.1.0")?;
        let began = Instant::now();
        let report = registry.build(&[one], options).await?.require_views()?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        if i == 8 {
            let files: u64 = report.views.iter().map(|v| v.files).sum();
            let bytes: u64 = report.views.iter().map(|v| v.bytes).sum();
            times.sort_by(f64::total_cmp);
            println!(
                "one release more {:7.2} ms  {} puts, {files} files of views, {:.1} kB",
                times[4],
                report.puts,
                bytes as f64 / 1e3
            );
        }
    }
    Ok(())
}

async fn registry(folder: &Path, views: &[View]) -> Result<(Registry, BuildOptions)> {
    let store = Store::create(folder.to_str().ok_or("the temporary folder's name is not text")?)?;
    let registry =
        Registry::new(store, SigningKey::generate("views.example.com".parse()?)?, &folder.with_extension("state"));
    let mut options = BuildOptions::at(Timestamp::now());
    options.views = Some(ViewOptions::new(views, Some("https://views.example.com"))?);
    registry.init(&options).await?;
    Ok((registry, options))
}

/// Makes one package: some files of the size that real ones have in the median.
fn add(sources: &Path, crates: bool, i: u32, version: &str) -> Result<()> {
    let name = format!("package-{i}");
    let folder: PathBuf = sources.join(if crates { "making".to_owned() } else { name.clone() });
    fs::create_dir_all(folder.join("templates"))?;
    // Not all the same, or nothing would be left to compress.
    let text: String =
        (0..300u32).map(|n| format!("line {n} of {name} is {}\n", (n ^ i).wrapping_mul(2_654_435_761))).collect();
    fs::write(folder.join("templates/main.tmpl"), &text)?;
    fs::write(folder.join("README.md"), &text[..2000])?;
    if !crates {
        fs::write(folder.join("ontology.ttl"), &text[..4000])?;
        let manifest =
            format!("[pack]\nname = \"{name}\"\nversion = \"{version}\"\ndescription = \"The pack {name}\"\n");
        fs::write(folder.join("pack.toml"), manifest)?;
        return Ok(());
    }
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"{version}\"\ndescription = \"{}\"\nlicense = \"MIT\"\n\
         keywords = [\"{}\", \"{}\"]\ncategories = [\"{}\"]\n[dependencies]\nserde = \"1\"\npackage-{} = {{ version = \"1\", optional = true }}\n[features]\nf = [\"dep:package-{}\"]\n",
        description(i),
        word(i % 997),
        word(i % 53),
        word(i % 41),
        i / 2,
        i / 2
    );
    fs::write(folder.join("Cargo.toml"), manifest)?;
    let top = format!("{name}-{version}");
    let file = fs::File::create(sources.join(format!("{top}.crate")))?;
    archive::pack(&folder, &top, std::io::BufWriter::new(file), &Limits::default())?;
    fs::remove_dir_all(folder)?;
    Ok(())
}

/// A sentence of words, some of which many packages have and some few.
fn description(i: u32) -> String {
    let words: Vec<String> = [i % 7, i % 101, i % 1009, i % 5003, i].into_iter().map(word).collect();
    format!("Does {}", words.join(" and "))
}

/// A word of some letters.
fn word(n: u32) -> String {
    let letter = |n: u32| char::from(b'a' + u8::try_from(n % 26).unwrap_or(0));
    let n = n.wrapping_add(1).wrapping_mul(2_654_435_761);
    (0..4 + n % 4).map(|k| letter(n >> (k * 3))).collect()
}
