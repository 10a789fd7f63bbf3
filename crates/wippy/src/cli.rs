//! The command line: every command and option, with the help that `--help` shows.
//!
//! Only shapes are here. What a command does is in the file of its name.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use wippy_kernel::Order;
use wippy_model::EntryId;

/// WebAssembly modules as supervised processes beside Lua.
#[derive(Debug, Parser)]
#[command(name = "wippy", version, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// Run as if started in DIR.
    #[arg(short = 'C', long = "directory", value_name = "DIR", global = true)]
    pub(crate) directory: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the project, one of its commands, or a WebAssembly file.
    Run(Box<RunArgs>),
    /// Make a project of this folder.
    Init,
    /// Make a project from a template.
    New(NewArgs),
    /// Load and check everything, run nothing.
    Check(CheckArgs),
    /// Print the hash of each binary, or write it into the entries.
    Hash(HashArgs),
    /// Show what a binary exports, imports and needs.
    Inspect(InspectArgs),
    /// List the processes of a runtime that runs.
    Ps(PsArgs),
    /// Watch the processes of a runtime that runs.
    Top(TopArgs),
    /// Print the version.
    Version,
    /// Print the completions for a shell.
    Completions(CompletionsArgs),
}

#[derive(Debug, Args)]
#[command(
    override_usage = "wippy run [OPTIONS]\n       \
        wippy run [OPTIONS] list\n       \
        wippy run [OPTIONS] NAME [ARGS]...\n       \
        wippy run [OPTIONS] -x NS:ENTRY [ARGS]...\n       \
        wippy run [OPTIONS] FILE.wasm [ARGS]...",
    after_help = "\
Without a NAME it starts the runtime and keeps it until Ctrl-C or SIGTERM.

Options stand before NAME: everything after it belongs to the command, --help and -x too.

Arguments reach the method's parameters. A string parameter takes the text as it is, every
other type is parsed in WAVE notation: 6, 1.5, true, '[1, 2]', '{x: 1, y: 2}', some-case.

Exit status: 0; 1 for an error or a trap; the code of the program where it gives one; 2 for a
usage or project error; 130 when Ctrl-C ends a command, 143 when SIGTERM does.

Environment: WIPPY_CACHE_DIR names the folder of compiled code, NO_COLOR turns colours off."
)]
pub(crate) struct RunArgs {
    /// NAME is the ID of a process entry: ns:entry.
    #[arg(short = 'x', long = "exec")]
    pub(crate) exec: bool,

    /// The terminal host to run on, where the project has several.
    #[arg(long, value_name = "ID")]
    pub(crate) host: Option<EntryId>,

    /// Print the result, or the list, as JSON.
    #[arg(long)]
    pub(crate) json: bool,

    /// Take changed scripts, binaries and entries without a restart.
    #[arg(long)]
    pub(crate) watch: bool,

    #[command(flatten)]
    pub(crate) file: FileArgs,

    #[command(flatten)]
    pub(crate) project: ProjectArgs,

    #[command(flatten)]
    pub(crate) log: LogArgs,

    /// `list`, a command, an entry or a file, and its arguments.
    #[arg(value_name = "NAME [ARGS]", trailing_var_arg = true, help_heading = "Arguments")]
    pub(crate) words: Vec<String>,
}

/// What an entry says, for a file that has none.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of FILE.wasm")]
pub(crate) struct FileArgs {
    /// The exported function to run [default: the only export, or `run`].
    #[arg(long, value_name = "NAME")]
    pub(crate) method: Option<String>,

    /// The types of a core module's exports: 'f: func(a: string) -> string;'.
    #[arg(long, value_name = "WIT")]
    pub(crate) wit: Option<String>,

    /// A variable of its environment; may be repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,

    /// A folder that it sees; may be repeated.
    #[arg(long, value_name = "HOST::GUEST[:ro]")]
    pub(crate) mount: Vec<String>,

    /// A host import that it is granted, such as wasi:http; may be repeated.
    #[arg(long, value_name = "IMPORT")]
    pub(crate) grant: Vec<String>,

    /// A limit, such as memory=64MiB or execution=5s; may be repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) limit: Vec<String>,

    /// Print the project file that these options amount to, and run nothing.
    #[arg(long)]
    pub(crate) entry: bool,
}

impl FileArgs {
    /// The first option that was given.
    pub(crate) fn given(&self) -> Option<&'static str> {
        [
            (self.method.is_some(), "--method"),
            (self.wit.is_some(), "--wit"),
            (!self.env.is_empty(), "--env"),
            (!self.mount.is_empty(), "--mount"),
            (!self.grant.is_empty(), "--grant"),
            (!self.limit.is_empty(), "--limit"),
            (self.entry, "--entry"),
        ]
        .into_iter()
        .find_map(|(given, name)| given.then_some(name))
    }
}

/// What changes a project for one run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of the project")]
pub(crate) struct ProjectArgs {
    /// Set a field of an entry; may be repeated.
    #[arg(short = 'o', long = "override", value_name = "NS:ENTRY:FIELD=VALUE")]
    pub(crate) overrides: Vec<String>,

    /// Set a runtime setting; may be repeated.
    #[arg(long, value_name = "SECTION.PATH=VALUE")]
    pub(crate) set: Vec<String>,

    /// The file of runtime settings [default: .wippy.yaml].
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// What of the log is shown. It goes to stderr: warnings while a command runs, and what
/// happens as well while the runtime runs.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Options of the log")]
pub(crate) struct LogArgs {
    /// Show more of the log: -v what happens, -vv details, -vvv everything.
    #[arg(short = 'v', long, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Show nothing of the log.
    #[arg(short = 's', long, conflicts_with_all = ["verbose", "console"])]
    pub(crate) silent: bool,

    /// Show the log for people: in colours, with the time of day.
    #[arg(short = 'c', long)]
    pub(crate) console: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Each runs at once: cd DIR, then wippy run greet World. Its README says what to install to build
the program anew.")]
pub(crate) struct NewArgs {
    /// What the program is written in.
    #[arg(value_name = "TEMPLATE")]
    pub(crate) template: Template,

    /// The folder to make [default: hello-TEMPLATE].
    #[arg(value_name = "DIR")]
    pub(crate) target: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Template {
    /// A component in Rust, with std and wit-bindgen.
    Rust,
    /// A component in C, with wasi-libc.
    C,
    /// A component in WebAssembly text.
    Wat,
    /// A process in Lua that runs a WebAssembly process.
    Lua,
}

impl Template {
    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::C => "c",
            Self::Wat => "wat",
            Self::Lua => "lua",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Hashes that are missing, wrong or placeholders such as sha256:... are filled in too; nothing
else in the files changes.")]
pub(crate) struct HashArgs {
    /// Write the hashes into the project files.
    #[arg(long)]
    pub(crate) write: bool,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The binary.
    #[arg(value_name = "FILE.wasm")]
    pub(crate) file: PathBuf,
    /// Print it as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which runtime is looked at, and what of it.
#[derive(Debug, Args)]
pub(crate) struct LookArgs {
    /// The runtime of this process ID [default: the one of this project].
    #[arg(long, value_name = "N")]
    pub(crate) pid: Option<u32>,

    /// Only processes with TEXT in their PID, name, entry or state.
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
What grows comes with the largest first. CPU is time on a processor since the spawn, QUEUED the
bytes of the messages that wait in the mailbox.

Exit status: 0; 1 where no runtime runs, or it ends meanwhile; 2 where several run.")]
pub(crate) struct PsArgs {
    #[command(flatten)]
    pub(crate) look: LookArgs,

    /// What to sort by.
    #[arg(long, value_name = "COLUMN", default_value = "pid")]
    pub(crate) sort: SortArg,

    /// At most so many processes.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,

    /// The services and their states, in place of the processes.
    #[arg(long, conflicts_with_all = ["sort", "filter", "limit", "json"])]
    pub(crate) services: bool,

    /// Every figure of everything, as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The columns that a listing can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SortArg {
    /// Time on a processor.
    Cpu,
    /// Memory.
    Memory,
    /// Messages that wait.
    Mailbox,
    /// Messages received and sent.
    Messages,
    /// The oldest first.
    Age,
    /// In order of the spawns.
    Pid,
}

impl SortArg {
    /// The kernel's order of that name.
    pub(crate) fn order(self) -> Order {
        match self {
            Self::Cpu => Order::Cpu,
            Self::Memory => Order::Memory,
            Self::Mailbox => Order::Mailbox,
            Self::Messages => Order::Messages,
            Self::Age => Order::Age,
            Self::Pid => Order::Pid,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Keys: q ends; s, left and right choose the column to sort by, r turns the order round; / filters,
Enter keeps the filter and Esc drops it; up, down, PgUp, PgDn, Home and End scroll.

Exit status: 0; 1 where no runtime runs, or it ends meanwhile; 2 where several run.")]
pub(crate) struct TopArgs {
    #[command(flatten)]
    pub(crate) look: LookArgs,

    /// Seconds between two looks, 0.1 to 60.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    pub(crate) interval: Duration,
}

fn interval(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    match (0.1..=60.0).contains(&seconds) {
        true => Ok(Duration::from_secs_f64(seconds)),
        false => Err("it must be from 0.1 to 60".to_owned()),
    }
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    pub(crate) shell: Shell,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn words(line: &str) -> RunArgs {
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        match cli.command {
            Command::Run(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn everything_after_the_name_belongs_to_the_command() {
        let args = words("wippy run --json greet --help -x -- --json -C y");
        assert_eq!(args.words, ["greet", "--help", "-x", "--", "--json", "-C", "y"]);
        assert!(args.json && !args.exec);
        let args = words("wippy run -x a:b --help");
        assert_eq!((args.exec, args.words), (true, vec!["a:b".to_owned(), "--help".to_owned()]));
        let args = words("wippy run --method f x.wasm --method g");
        assert_eq!(args.file.method.as_deref(), Some("f"));
        assert_eq!(args.words, ["x.wasm", "--method", "g"]);
    }

    #[test]
    fn an_unknown_option_is_refused() {
        assert!(Cli::try_parse_from(["wippy", "run", "--bogus", "x"]).is_err());
    }
}
