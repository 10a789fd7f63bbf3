//! Which runtime is meant, and asking it.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::folder::{self, Socket};
use super::protocol::{ANSWER_BYTES, Figures, Request, Response, VERSION};
use super::serve::connect;
use crate::failure::Failure;

/// How long a runtime may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// How long each may take that is listed.
const LISTED_MAX: Duration = Duration::from_millis(500);

/// The longest answer: a runtime stops filling one at half of it.
const ANSWER_BYTES_MAX: usize = 2 * ANSWER_BYTES;

/// Runtimes that a message names.
const LISTED: usize = 10;

/// A connection to a runtime.
#[derive(Debug)]
pub(crate) struct Client {
    stream: UnixStream,
    process_id: u32,
    read: Vec<u8>,
}

/// Why a runtime gave no figures.
#[derive(Debug)]
pub(crate) enum Lost {
    /// It is not there any more.
    Gone,
    /// It is there, and does not answer, or says why not.
    Refused(String),
}

impl Client {
    /// Connects to the runtime of this process ID, or to that of this project.
    ///
    /// # Errors
    ///
    /// When there is none, or more than one, with those that there are.
    pub(crate) async fn find(project: &Path, process_id: Option<u32>) -> Result<Self, Failure> {
        let sockets: Vec<Socket> =
            folder::candidates().iter().flat_map(|folder| folder::sockets(folder)).collect();
        let name = folder::project(project);
        let meant = |socket: &&Socket| match process_id {
            Some(process_id) => socket.process_id == process_id,
            None => socket.project == name,
        };
        let mut found = Vec::new();
        for socket in sockets.iter().filter(meant) {
            if let Ok(client) = Self::connect(socket).await {
                found.push(client);
            }
        }
        if found.len() > 1 {
            return Err(several(project, found).await);
        }
        match (found.pop(), process_id) {
            (Some(only), _) => Ok(only),
            (None, Some(process_id)) => {
                let message = format!("no runtime of yours has the process ID {process_id}");
                Err(Failure::failed("no-runtime", message, running(&sockets).await))
            }
            (None, None) => {
                let message = format!("no runtime of {} runs", project.display());
                let mut help = running(&sockets).await;
                if !is_project(project) {
                    help = format!("there is no project here\n{help}");
                }
                Err(Failure::failed("no-runtime", message, help))
            }
        }
    }

    async fn connect(socket: &Socket) -> io::Result<Self> {
        let stream = timeout(LISTED_MAX, connect(socket)).await??;
        Ok(Self { stream, process_id: socket.process_id, read: Vec::new() })
    }

    /// Asks for figures.
    ///
    /// # Errors
    ///
    /// When the runtime is gone, does not answer, or refuses.
    pub(crate) async fn ask(&mut self, request: Request) -> Result<Figures, Lost> {
        let process_id = self.process_id;
        match timeout(ANSWER_MAX, self.exchange(Request { version: VERSION, ..request })).await {
            Ok(answer) => answer,
            Err(_) => Err(Lost::Refused(format!(
                "the runtime {process_id} does not answer within {} s",
                ANSWER_MAX.as_secs()
            ))),
        }
    }

    async fn exchange(&mut self, request: Request) -> Result<Figures, Lost> {
        let mut line = serde_json::to_vec(&request)
            .map_err(|error| Lost::Refused(format!("cannot ask the runtime: {error}")))?;
        line.push(b'\n');
        // One that is full says so and closes: what it said is read below.
        let _ = self.stream.write_all(&line).await;
        let answer = self.line().await?;
        let process_id = self.process_id;
        match serde_json::from_slice(&answer) {
            Ok(Response::Figures(figures)) => Ok(*figures),
            Ok(Response::Error { error, .. }) => {
                Err(Lost::Refused(format!("the runtime {process_id} answers: {error}")))
            }
            Err(error) => Err(Lost::Refused(format!(
                "the runtime {process_id} gives an answer that this release cannot read: {error}"
            ))),
        }
    }

    async fn line(&mut self) -> Result<Vec<u8>, Lost> {
        self.read.clear();
        let mut chunk = vec![0; 64 << 10];
        loop {
            let len = self.stream.read(&mut chunk).await.map_err(|_| Lost::Gone)?;
            let read = chunk.get(..len).unwrap_or_default();
            self.read.extend_from_slice(read);
            if self.read.last() == Some(&b'\n') {
                return Ok(std::mem::take(&mut self.read));
            }
            if len == 0 {
                return Err(Lost::Gone);
            }
            if self.read.len() > ANSWER_BYTES_MAX {
                return Err(Lost::Refused("the runtime's answer is too long".to_owned()));
            }
        }
    }

    /// What to say when the runtime is lost.
    pub(crate) fn failure(&self, lost: Lost) -> Failure {
        match lost {
            Lost::Gone => Failure::failed(
                "runtime-ended",
                format!("the runtime {} has ended", self.process_id),
                "`wippy run` starts it again",
            ),
            Lost::Refused(why) => Failure::failed("no-answer", why, "try again"),
        }
    }
}

/// Whether a folder looks like a project: for a message alone.
fn is_project(folder: &Path) -> bool {
    let files = ["wippy.lock", ".wippy.yaml", "src"];
    files.iter().any(|file| folder.join(file).exists()) || {
        let index = |extension| folder.join(format!("_index.{extension}")).exists();
        ["yaml", "yml", "json"].into_iter().any(index)
    }
}

async fn several(project: &Path, found: Vec<Client>) -> Failure {
    let message = format!("{} runtimes of {} run", found.len(), project.display());
    let mut help = String::from("name one with --pid:");
    for mut client in found.into_iter().take(LISTED) {
        help.push_str(&described(&mut client).await);
    }
    Failure::usage_with_help("several-runtimes", message, help)
}

/// The runtimes that run elsewhere, or how to start one.
async fn running(sockets: &[Socket]) -> String {
    let mut list = String::new();
    for socket in sockets.iter().take(LISTED) {
        if let Ok(mut client) = Client::connect(socket).await {
            list.push_str(&described(&mut client).await);
        }
    }
    match list.is_empty() {
        true => "`wippy run` starts one; -C DIR names another project".to_owned(),
        false => format!("-C DIR or --pid names one of those that run:{list}"),
    }
}

/// One line for a runtime.
async fn described(client: &mut Client) -> String {
    let process_id = client.process_id;
    let asked = client.exchange(Request { version: VERSION, ..Request::default() });
    match timeout(LISTED_MAX, asked).await {
        Ok(Ok(figures)) => {
            let runtime = figures.runtime;
            let command = runtime.command.map(|name| format!(" {name}")).unwrap_or_default();
            format!("\n  --pid {process_id}  wippy run{command}  in {}", runtime.project)
        }
        _ => format!("\n  --pid {process_id}  does not answer"),
    }
}
