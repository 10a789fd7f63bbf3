//! `wippy ps`: the processes of a runtime that runs, once.

use std::cmp::{Ordering, Reverse};
use std::path::Path;

use wippy_kernel::Order;

use crate::cli::{LookArgs, PsArgs};
use crate::control::client::{Client, Lost};
use crate::control::protocol::{Figures, PROCESSES_MAX, Process, Request};
use crate::failure::{Failure, Outcome, status};
use crate::listing::{self, Column};
use crate::output;
use crate::run::block_on;

const COLUMNS: [Column; 13] = [
    Column::Pid,
    Column::Entry,
    Column::Names,
    Column::Restarts,
    Column::State,
    Column::Cpu,
    Column::Memory,
    Column::Mailbox,
    Column::Queued,
    Column::Received,
    Column::Sent,
    Column::Steps,
    Column::Age,
];

/// Lists processes.
pub(crate) fn ps(args: &PsArgs) -> Outcome {
    block_on(async {
        let mut client = find(&args.look).await?;
        let figures = match all(&mut client, args).await {
            Ok(figures) => figures,
            Err(lost) => return Err(client.failure(lost)),
        };
        if args.json {
            let json = serde_json::to_string_pretty(&figures).map_err(std::io::Error::from)?;
            output::print_line(&json)?;
        } else {
            let lines = match args.services {
                true => listing::services(&figures.services),
                false => listing::table(&COLUMNS, &figures.processes, 0),
            };
            let mut text = String::new();
            for line in lines {
                text.push_str(&listing::fit(&line, usize::MAX));
                text.push('\n');
            }
            output::print(&text)?;
        }
        Ok(status::OK)
    })
}

/// Connects to the runtime that the options mean.
pub(crate) async fn find(look: &LookArgs) -> Result<Client, Failure> {
    let here = Path::new(".");
    let project = here.canonicalize().map_err(|error| Failure::file("find", here, &error))?;
    Client::find(&project, look.pid).await
}

/// All processes that are asked for, sorted. More than fit one answer are fetched in the order of
/// their spawns, in which none is missed and none comes twice, however the others change.
async fn all(client: &mut Client, args: &PsArgs) -> Result<Figures, Lost> {
    let order = args.sort.order();
    let wanted = args.limit.unwrap_or(usize::MAX);
    if args.services {
        return client.ask(Request::default()).await;
    }
    let request =
        Request { processes: true, filter: args.look.filter.clone(), ..Request::default() };
    if wanted <= PROCESSES_MAX {
        let sort = Some(order.name().to_owned());
        let figures = client.ask(Request { sort, limit: Some(wanted), ..request.clone() }).await?;
        // An answer may be full with less.
        if figures.processes.len() >= wanted.min(figures.matching) {
            return Ok(figures);
        }
    }
    let mut figures = client.ask(request.clone()).await?;
    let mut left = figures.matching > figures.processes.len();
    while left {
        let after = figures.processes.last().map(|process| process.serial);
        let more = client.ask(Request { after, ..request.clone() }).await?;
        left = more.matching > more.processes.len() && !more.processes.is_empty();
        figures.processes.extend(more.processes);
    }
    figures.processes.sort_by(|a, b| compare(order, a, b));
    figures.processes.truncate(wanted);
    Ok(figures)
}

/// As [`Order::compare`], of what a runtime has said.
fn compare(order: Order, a: &Process, b: &Process) -> Ordering {
    let key = |process: &Process| match order {
        Order::Cpu => (process.cpu_us, 0),
        Order::Memory => (process.memory_bytes, 0),
        Order::Mailbox => (process.mailbox_len as u64, process.mailbox_bytes),
        Order::Messages => (process.received.saturating_add(process.sent), 0),
        Order::Age | Order::Pid => (0, 0),
    };
    (Reverse(key(a)), a.serial).cmp(&(Reverse(key(b)), b.serial))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::tests::process;

    #[test]
    fn the_largest_comes_first_and_the_older_of_two_equal_ones() {
        let mut processes = [process(3), process(1), process(2)];
        processes[1].memory_bytes = 1;
        processes.sort_by(|a, b| compare(Order::Memory, a, b));
        assert_eq!(processes.map(|process| process.serial), [2, 3, 1]);
    }
}
