//! `completions`: a script for a shell.

use crate::{
    args::{self, Completions},
    failure::{Code, Failure},
    output::Ui,
};

pub(crate) fn run(args: &Completions, ui: &Ui) -> Result<Code, Failure> {
    // Into memory first: the generator takes a closed stream for a fault of the program.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::command(), "ggen-market", &mut script);
    ui.write(|out| out.write_all(&script))?;
    Ok(Code::Done)
}
