//! The commands: one file each, in six groups.
//!
//! ```text
//! train       makes a run
//! generate/   makes data with a model    sample, reconstruct, interpolate, traverse, manifold, decode
//! analyze/    measures a model           evaluate, compare, classify, encode, latents
//! experiment/ many models                sweep, repro
//! share/      other programs' files      export, import
//! browse/     shows what there is        info, runs, curves, report, presets, data
//! machine/    checks this machine        bench, doctor, serve-device, completions, man
//! ```
//!
//! A new command is a file in one of the folders and two lines here: its `mod` and its entry in
//! [`Command`]. The file defines the flags, the help text and [`Execute`]. A test at the end of
//! this file fails while a file here is not a command.

pub mod train;

pub mod generate {
    pub mod decode;
    pub mod interpolate;
    pub mod manifold;
    pub mod reconstruct;
    pub mod sample;
    pub mod traverse;
}

pub mod analyze {
    pub mod classify;
    pub mod compare;
    pub mod encode;
    pub mod evaluate;
    pub mod latents;
}

pub mod browse {
    pub mod curves;
    pub mod data;
    pub mod info;
    pub mod presets;
    pub mod report;
    pub mod runs;
}

pub mod experiment {
    pub mod repro;
    pub mod sweep;
}

pub mod share {
    pub mod export;
    pub mod import;
}

pub mod machine {
    pub mod bench;
    pub mod completions;
    pub mod doctor;
    pub mod man;
    #[cfg(feature = "remote")]
    pub mod serve_device;
}

use anyhow::Result;
use clap::Subcommand;

use crate::output::printer::Printer;

/// A command with its flags.
pub trait Execute {
    /// Does the work and prints the result.
    fn execute(&self, printer: &Printer) -> Result<()>;
}

/// Makes [`Command`]: a variant and a call of [`Execute::execute`] per command.
macro_rules! commands {
    ($($(#[$condition:meta])* $name:ident($args:ty),)+) => {
        /// Every command, in the order of `--help`. The doc comment of its arguments is its help.
        #[derive(Debug, Subcommand)]
        pub enum Command {
            $($(#[$condition])* $name($args),)+
        }

        impl Execute for Command {
            fn execute(&self, printer: &Printer) -> Result<()> {
                match self {
                    $($(#[$condition])* Self::$name(args) => args.execute(printer),)+
                }
            }
        }
    };
}

commands! {
    Train(train::TrainArgs),
    Sample(generate::sample::SampleArgs),
    Reconstruct(generate::reconstruct::ReconstructArgs),
    Interpolate(generate::interpolate::InterpolateArgs),
    Traverse(generate::traverse::TraverseArgs),
    Manifold(generate::manifold::ManifoldArgs),
    Latents(analyze::latents::LatentsArgs),
    Curves(browse::curves::CurvesArgs),
    Report(browse::report::ReportArgs),
    Evaluate(analyze::evaluate::EvaluateArgs),
    Compare(analyze::compare::CompareArgs),
    Sweep(experiment::sweep::SweepArgs),
    Repro(experiment::repro::ReproArgs),
    Classify(analyze::classify::ClassifyArgs),
    Encode(analyze::encode::EncodeArgs),
    Decode(generate::decode::DecodeArgs),
    Export(share::export::ExportArgs),
    Import(share::import::ImportArgs),
    Info(browse::info::InfoArgs),
    Runs(browse::runs::RunsArgs),
    Presets(browse::presets::PresetsArgs),
    Data(browse::data::DataArgs),
    Bench(machine::bench::BenchArgs),
    Doctor(machine::doctor::DoctorArgs),
    #[cfg(feature = "remote")]
    ServeDevice(machine::serve_device::ServeDeviceArgs),
    Completions(machine::completions::CompletionsArgs),
    Man(machine::man::ManArgs),
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use clap::CommandFactory;

    use crate::args::Cli;

    /// The names of the files in `folder` and below, without `mod.rs`.
    fn file_names(folder: &Path, names: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                file_names(&path, names);
            } else if path.file_name().unwrap() != "mod.rs" {
                names.insert(path.file_stem().unwrap().to_str().unwrap().replace('_', "-"));
            }
        }
    }

    #[test]
    fn the_files_here_are_the_commands_that_help_lists() {
        let mut files = BTreeSet::new();
        file_names(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/commands"), &mut files);
        files.retain(|name| cfg!(feature = "remote") || name != "serve-device");
        let mut cli = Cli::command();
        let commands: BTreeSet<String> =
            cli.get_subcommands().map(|command| command.get_name().to_owned()).collect();
        assert_eq!(files, commands);
        let help = cli.render_help().to_string();
        for name in &files {
            let listed =
                help.lines().any(|line| line.trim_start().starts_with(&format!("{name} ")));
            assert!(listed, "{name} is not in --help");
        }
    }

    fn assert_documented(command: &clap::Command, path: &str) {
        let path = format!("{path} {}", command.get_name());
        assert!(command.get_about().is_some(), "{path} has no help");
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{path}: {} has no help", argument.get_id());
        }
        command.get_subcommands().for_each(|sub| assert_documented(sub, &path));
    }

    #[test]
    fn every_command_and_flag_has_a_help_text() {
        assert_documented(&Cli::command(), "");
    }

    #[test]
    fn flags_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }
}
