//! A command of WASI 0.3: arguments, environment, standard streams, exit codes, files,
//! sockets and HTTP, all of it through asynchronous calls and streams.
//!
//! Prints its arguments (without the program name), one per line, and `NAME=...` if that
//! variable is set. The first argument may ask for something else instead:
//!
//! - `program` and `cwd` print those
//! - `exit CODE` exits with that code, `fail` returns the error of `run`, `panic` panics
//! - `stdin` copies standard input to standard output, `stderr TEXT` writes a line
//! - `flood BYTES` writes that many bytes to standard output
//! - `sleep MS` waits
//! - `list DIR`, `read PATH`, `write PATH TEXT`, `append PATH TEXT` and `remove PATH` work
//!   on the first mount
//! - `hold DIR COUNT MS` opens that many listings of a folder, writes a file `holding` if it
//!   still can, waits, reads the first entry of each, then the rest, and prints how often it
//!   came to what
//! - `hold-files PATH COUNT` opens that many streams to read and to append to one file, and
//!   prints how often it came to what
//! - `connect PORT TEXT` sends the text to a local port and prints the answer, `listen`
//!   prints its port and echoes to one client, `resolve NAME` prints addresses
//! - `get AUTHORITY PATH` prints the status and the body of a response
//!
//! What goes wrong is printed to standard error, and `run` returns its error.

mod bindings {
    wit_bindgen::generate!({ path: "wit", generate_all });
}

use std::collections::BTreeMap;

use bindings::exports::wasi::cli::run::Guest;
use bindings::wasi::cli::{environment, exit, stderr, stdin, stdout};
use bindings::wasi::clocks::monotonic_clock::wait_for;
use bindings::wasi::filesystem::preopens::get_directories;
use bindings::wasi::filesystem::types::{Descriptor, DescriptorFlags, OpenFlags, PathFlags};
use bindings::wasi::http::client;
use bindings::wasi::http::types::{Fields, Request, Response, Scheme};
use bindings::wasi::sockets::ip_name_lookup::resolve_addresses;
use bindings::wasi::sockets::types::{
    IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, TcpSocket,
};
use bindings::{wit_future, wit_stream};
use wit_bindgen::StreamResult;

/// What is read or written at once.
const PIECE: usize = 64 << 10;

struct Command;

/// Turns the errors of the interfaces into a text.
type Outcome<T = ()> = Result<T, String>;

fn text(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

impl Guest for Command {
    async fn run() -> Result<(), ()> {
        match command().await {
            Ok(()) => Ok(()),
            Err(message) => {
                let _ = print_error(&message).await;
                Err(())
            }
        }
    }
}

async fn command() -> Outcome {
    let mut args = environment::get_arguments();
    let program = args.remove(0);
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["program"] => print(&program).await,
        ["cwd"] => print(&environment::get_initial_cwd().unwrap_or_default()).await,
        ["exit", code] => {
            print("leaving").await?;
            exit::exit_with_code(code.parse().map_err(text)?);
            Ok(())
        }
        ["fail"] => Err("as asked".to_owned()),
        ["panic"] => panic!("as asked"),
        ["stdin"] => {
            let (mut input, result) = stdin::read_via_stream();
            let (mut output, reader) = wit_stream::new();
            let written = stdout::write_via_stream(reader);
            loop {
                let (result, piece) = input.read(Vec::with_capacity(PIECE)).await;
                output.write_all(piece).await;
                if result == StreamResult::Dropped {
                    break;
                }
            }
            drop(output);
            written.await.map_err(text)?;
            result.await.map_err(text)
        }
        ["stderr", line] => print_error(line).await,
        ["flood", bytes] => {
            let mut left: usize = bytes.parse().map_err(text)?;
            let (mut output, reader) = wit_stream::new();
            let written = stdout::write_via_stream(reader);
            while left > 0 {
                let piece = left.min(PIECE);
                output.write_all(vec![b'x'; piece]).await;
                left -= piece;
            }
            drop(output);
            written.await.map_err(text)
        }
        ["sleep", ms] => {
            wait_for(ms.parse::<u64>().map_err(text)? * 1_000_000).await;
            print("awake").await
        }
        ["list", path] => list(path).await,
        ["hold", path, count, ms] => {
            hold(path, count.parse().map_err(text)?, ms.parse().map_err(text)?).await
        }
        ["hold-files", path, count] => hold_files(path, count.parse().map_err(text)?).await,
        ["read", path] => read(path).await,
        ["write", path, content] => write(path, content, false).await,
        ["append", path, content] => write(path, content, true).await,
        ["remove", path] => mount()?.unlink_file_at(path.to_owned()).await.map_err(text),
        ["connect", port, line] => connect(port.parse().map_err(text)?, line).await,
        ["listen"] => listen().await,
        ["resolve", name] => {
            let found = resolve_addresses(name.to_owned()).await.map_err(text)?;
            print(&format!("{found:?}")).await
        }
        ["get", authority, path] => get(authority, path).await,
        _ => {
            for arg in &args {
                print(arg).await?;
            }
            match environment::get_environment().into_iter().find(|(name, _)| name == "NAME") {
                Some((_, value)) => print(&format!("NAME={value}")).await,
                None => Ok(()),
            }
        }
    }
}

async fn print(line: &str) -> Outcome {
    let (mut writer, reader) = wit_stream::new();
    let written = stdout::write_via_stream(reader);
    writer.write_all(format!("{line}\n").into_bytes()).await;
    drop(writer);
    written.await.map_err(text)
}

async fn print_error(line: &str) -> Outcome {
    let (mut writer, reader) = wit_stream::new();
    let written = stderr::write_via_stream(reader);
    writer.write_all(format!("{line}\n").into_bytes()).await;
    drop(writer);
    written.await.map_err(text)
}

fn mount() -> Outcome<Descriptor> {
    let first = get_directories().into_iter().next();
    first.map(|(directory, _)| directory).ok_or_else(|| "nothing is mounted".to_owned())
}

async fn folder(path: &str) -> Outcome<Descriptor> {
    let (at, open) = (PathFlags::empty(), OpenFlags::DIRECTORY);
    let opened = mount()?.open_at(at, path.to_owned(), open, DescriptorFlags::READ).await;
    opened.map_err(text)
}

async fn list(path: &str) -> Outcome {
    let directory = folder(path).await?;
    let (mut entries, result) = directory.read_directory();
    let mut names = Vec::new();
    while let Some(entry) = entries.next().await {
        names.push(entry.name);
    }
    result.await.map_err(text)?;
    names.sort();
    print(&names.join(" ")).await
}

async fn hold(path: &str, count: usize, ms: u64) -> Outcome {
    let directory = folder(path).await?;
    let mut listings: Vec<_> = (0..count).map(|_| (directory.read_directory(), 0)).collect();
    drop(directory);
    let _ = write("holding", "", false).await;
    wait_for(ms * 1_000_000).await;
    for ((entries, _), read) in &mut listings {
        *read += entries.next().await.iter().count();
    }
    let mut outcomes = BTreeMap::new();
    for ((entries, result), read) in listings {
        // One that has ended already may not be read again.
        let read = if read > 0 { read + entries.collect().await.len() } else { 0 };
        let outcome = match result.await {
            Ok(()) => format!("{read} entries"),
            Err(error) => format!("{error:?} after {read} entries"),
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    // All of them are gone: there is a place again.
    folder(path).await?;
    print_all(&outcomes).await
}

async fn hold_files(path: &str, count: usize) -> Outcome {
    let (at, open) = (PathFlags::empty(), OpenFlags::empty());
    let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
    let file = mount()?.open_at(at, path.to_owned(), open, flags).await.map_err(text)?;
    let (mut readers, mut writers) = (Vec::new(), Vec::new());
    for _ in 0..count {
        readers.push(file.read_via_stream(0));
        let (writer, reader) = wit_stream::new();
        writers.push((writer, file.append_via_stream(reader)));
    }
    let mut outcomes = BTreeMap::new();
    for (content, result) in readers {
        let read = content.collect().await.len();
        let outcome = match result.await {
            Ok(()) => format!("{read} bytes read"),
            Err(error) => format!("{error:?} after {read} bytes read"),
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    for (mut writer, written) in writers {
        let left = writer.write_all(b"x".to_vec()).await.len();
        drop(writer);
        let outcome = match written.await {
            Ok(()) => format!("{left} bytes left"),
            Err(error) => format!("{error:?} with {left} bytes left"),
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    print_all(&outcomes).await
}

async fn print_all(outcomes: &BTreeMap<String, usize>) -> Outcome {
    for (outcome, count) in outcomes {
        print(&format!("{count} times {outcome}")).await?;
    }
    Ok(())
}

async fn read(path: &str) -> Outcome {
    let file = mount()?
        .open_at(
            PathFlags::SYMLINK_FOLLOW,
            path.to_owned(),
            OpenFlags::empty(),
            DescriptorFlags::READ,
        )
        .await
        .map_err(text)?;
    let (content, result) = file.read_via_stream(0);
    // The file's stream goes to standard output as it is.
    stdout::write_via_stream(content).await.map_err(text)?;
    result.await.map_err(text)
}

async fn write(path: &str, content: &str, append: bool) -> Outcome {
    let flags = if append { OpenFlags::CREATE } else { OpenFlags::CREATE | OpenFlags::TRUNCATE };
    let file = mount()?
        .open_at(PathFlags::empty(), path.to_owned(), flags, DescriptorFlags::WRITE)
        .await
        .map_err(text)?;
    let (mut writer, reader) = wit_stream::new();
    let written =
        if append { file.append_via_stream(reader) } else { file.write_via_stream(reader, 0) };
    writer.write_all(content.as_bytes().to_vec()).await;
    drop(writer);
    written.await.map_err(text)
}

fn local(port: u16) -> IpSocketAddress {
    IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (127, 0, 0, 1) })
}

async fn connect(port: u16, line: &str) -> Outcome {
    let socket = TcpSocket::create(IpAddressFamily::Ipv4).map_err(text)?;
    socket.connect(local(port)).await.map_err(text)?;
    let (mut writer, reader) = wit_stream::new();
    let sent = socket.send(reader);
    writer.write_all(line.as_bytes().to_vec()).await;
    drop(writer);
    sent.await.map_err(text)?;
    let (answer, result) = socket.receive();
    let answer = answer.collect().await;
    result.await.map_err(text)?;
    print(&String::from_utf8_lossy(&answer)).await
}

async fn listen() -> Outcome {
    let socket = TcpSocket::create(IpAddressFamily::Ipv4).map_err(text)?;
    socket.bind(local(0)).map_err(text)?;
    let mut clients = socket.listen().map_err(text)?;
    match socket.get_local_address().map_err(text)? {
        IpSocketAddress::Ipv4(address) => print(&address.port.to_string()).await?,
        IpSocketAddress::Ipv6(_) => return Err("not the address it was bound to".to_owned()),
    }
    let client = clients.next().await.ok_or("no client")?;
    let (received, result) = client.receive();
    client.send(received).await.map_err(text)?;
    result.await.map_err(text)
}

async fn get(authority: &str, path: &str) -> Outcome {
    let (trailers, no_trailers) = wit_future::new(|| Ok(None));
    let (request, sent) = Request::new(Fields::new(), None, no_trailers, None);
    drop(trailers);
    let set = request
        .set_scheme(Some(&Scheme::Http))
        .and_then(|()| request.set_authority(Some(authority)))
        .and_then(|()| request.set_path_with_query(Some(path)));
    set.map_err(|()| "no such address".to_owned())?;
    let response = client::send(request).await.map_err(text)?;
    sent.await.map_err(text)?;
    print(&response.get_status_code().to_string()).await?;
    let (done, received) = wit_future::new(|| Ok(()));
    let (body, trailers) = Response::consume_body(response, received);
    drop(done);
    let body = body.collect().await;
    trailers.await.map_err(text)?;
    print(&String::from_utf8_lossy(&body)).await
}

bindings::export!(Command with_types_in bindings);
