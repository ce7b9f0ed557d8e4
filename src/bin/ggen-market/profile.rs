//! Where a run's time and memory go, with the feature `profiling`: a flame graph of samples, and a report of allocations.

use crate::{args::Global, failure::Failure, output::Ui};
use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::PathBuf,
};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Samples a second, of each thread that runs: no divisor of what happens in a program at regular times.
const HERTZ: i32 = 997;

/// What is being recorded, and where it is to go.
pub(crate) struct Profile {
    samples: Option<(pprof::ProfilerGuard<'static>, PathBuf)>,
    heap: Option<dhat::Profiler>,
}

impl Profile {
    pub(crate) fn start(global: &Global) -> Result<Self, Failure> {
        let samples = global.profile.clone().map(|path| {
            let guard = pprof::ProfilerGuardBuilder::default().frequency(HERTZ).build();
            let refused = |e: pprof::Error| Failure::usage("this system lets no samples be taken").because(e);
            guard.map(|guard| (guard, path)).map_err(refused)
        });
        let heap = global.allocations.as_ref().map(|path| dhat::Profiler::builder().file_name(path).build());
        Ok(Self { samples: samples.transpose()?, heap })
    }

    /// Writes what was recorded.
    pub(crate) fn finish(self, ui: &Ui) -> Result<(), Failure> {
        // Writes its file, and says how much there was on standard error by itself.
        drop(self.heap);
        let Some((guard, path)) = self.samples else { return Ok(()) };
        let report = guard.report().build();
        let report = report.map_err(|e| Failure::usage("the samples make no report").because(e))?;
        let failed = |e: std::io::Error| Failure::io("write", &path, &e);
        let mut out = BufWriter::new(File::create(&path).map_err(failed)?);
        report
            .flamegraph(&mut out)
            .map_err(|e| Failure::usage(format!("{}: no flame graph", path.display())).because(e))?;
        out.flush().map_err(failed)?;
        ui.note(&format!("{} samples: {}", report.data.values().sum::<isize>(), path.display()));
        Ok(())
    }
}
