//! What `wippy top` shows and what its keys do: figures and keys in, lines and wishes out. No
//! terminal and no socket here.

use std::time::Duration;

use super::keys::Key;
use super::screen::Style;
use crate::control::protocol::{Figures, Node, Request};
use crate::listing::{self, Column, bytes, count, duration};

/// What it can be sorted by: the name that the runtime knows, and the column.
const ORDERS: [(&str, Column); 7] = [
    ("cpu_percent", Column::CpuPercent),
    ("cpu", Column::Cpu),
    ("memory", Column::Memory),
    ("mailbox", Column::Mailbox),
    ("messages", Column::Received),
    ("age", Column::Age),
    ("pid", Column::Pid),
];

/// Long texts come last: a narrow terminal cuts them, and shows the figures.
const COLUMNS: [Column; 11] = [
    Column::CpuPercent,
    Column::Cpu,
    Column::Memory,
    Column::Mailbox,
    Column::Received,
    Column::Sent,
    Column::Age,
    Column::State,
    Column::Entry,
    Column::Names,
    Column::Pid,
];

/// The longest filter, in letters.
const FILTER_MAX: usize = 100;

/// Lines above the table, where there is room for all of them.
const HEADER_LINES: usize = 4;

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Quit,
    /// Other processes, or in another order.
    Look,
    /// The same figures, shown anew.
    Draw,
}

/// What is looked at and how.
#[derive(Debug)]
pub(super) struct View {
    order: usize,
    reverse: bool,
    filter: String,
    /// The filter before it was edited, while it is.
    editing: Option<String>,
    offset: usize,
    rows: usize,
    last: Option<Figures>,
    /// Of the node, between the two last looks.
    rates: Option<Rates>,
    /// What the rates are counted from.
    base: Option<Node>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Rates {
    cpu_percent: f64,
    messages: f64,
    spawns: f64,
}

impl View {
    pub(super) fn new(filter: String) -> Self {
        Self {
            order: 0,
            reverse: false,
            filter,
            editing: None,
            offset: 0,
            rows: 1,
            last: None,
            rates: None,
            base: None,
        }
    }

    /// What the runtime is to be asked.
    pub(super) fn request(&self) -> Request {
        Request {
            processes: true,
            sort: self.order().map(|(name, _)| (*name).to_owned()),
            reverse: self.reverse,
            filter: Some(self.filter.clone()).filter(|filter| !filter.is_empty()),
            limit: Some(self.rows),
            offset: self.offset,
            ..Request::default()
        }
    }

    fn order(&self) -> Option<&(&'static str, Column)> {
        ORDERS.get(self.order)
    }

    /// Takes the runtime's answer; whether what is shown has ended meanwhile, so that it should
    /// be asked again.
    pub(super) fn take(&mut self, figures: Figures) -> bool {
        if let Some(base) = &self.base {
            let passed = figures.node.uptime_ms.saturating_sub(base.uptime_ms);
            // Too short a time says nothing; a key makes one.
            if passed >= 90 {
                self.rates = Some(Rates::between(base, &figures.node, passed));
                self.base = Some(figures.node.clone());
            }
        } else {
            self.base = Some(figures.node.clone());
        }
        let last = figures.matching.saturating_sub(self.rows);
        let beyond = self.offset > last;
        self.offset = self.offset.min(last);
        self.last = Some(figures);
        beyond
    }

    /// Takes the size of the terminal; whether it has room for more processes than before.
    pub(super) fn resize(&mut self, rows: usize) -> bool {
        let before = self.rows;
        self.rows = rows.saturating_sub(self.header_lines(rows) + 1).max(1);
        self.rows > before
    }

    fn header_lines(&self, rows: usize) -> usize {
        if rows >= 10 { HEADER_LINES } else { rows.saturating_sub(4).min(1) }
    }

    pub(super) fn key(&mut self, key: Key) -> Option<Wish> {
        if key == Key::Interrupt {
            return Some(Wish::Quit);
        }
        match self.editing.take() {
            Some(before) => self.edit(key, before),
            None => self.command(key),
        }
    }

    fn edit(&mut self, key: Key, before: String) -> Option<Wish> {
        match key {
            Key::Enter => return Some(Wish::Draw),
            Key::Escape => self.filter = before,
            Key::Backspace => {
                self.filter.pop();
                self.editing = Some(before);
            }
            Key::Char(char) => {
                if self.filter.chars().count() < FILTER_MAX {
                    self.filter.push(char);
                }
                self.editing = Some(before);
            }
            _ => {
                self.editing = Some(before);
                return None;
            }
        }
        self.offset = 0;
        Some(Wish::Look)
    }

    fn command(&mut self, key: Key) -> Option<Wish> {
        let end = self.last.as_ref().map_or(0, |figures| figures.matching);
        let end = end.saturating_sub(self.rows);
        let offset = match key {
            Key::Char('q') => return Some(Wish::Quit),
            Key::Char('r') => {
                self.reverse = !self.reverse;
                0
            }
            Key::Char('s') | Key::Right => {
                self.order = (self.order + 1) % ORDERS.len();
                0
            }
            Key::Left => {
                self.order = (self.order + ORDERS.len() - 1) % ORDERS.len();
                0
            }
            Key::Char('/') => {
                self.editing = Some(self.filter.clone());
                return Some(Wish::Draw);
            }
            Key::Escape => {
                self.filter.clear();
                0
            }
            Key::Up => self.offset.saturating_sub(1),
            Key::Down => self.offset + 1,
            Key::PageUp => self.offset.saturating_sub(self.rows),
            Key::PageDown => self.offset + self.rows,
            Key::Home => 0,
            Key::End => end,
            _ => return None,
        };
        self.offset = offset.min(end);
        Some(Wish::Look)
    }

    /// What is shown on so many rows.
    pub(super) fn lines(&self, rows: usize) -> Vec<(Style, String)> {
        let Some(figures) = &self.last else {
            return vec![(Style::Plain, "asking the runtime ...".to_owned())];
        };
        let mut header = vec![
            (Style::Plain, self.prompt(figures)),
            (Style::Bold, subject(figures)),
            (Style::Plain, self.totals(figures)),
            (Style::Plain, ends(figures)),
        ];
        header.truncate(self.header_lines(rows));
        // What is typed stands lowest of the header, next to what it does.
        let typed = header.len().min(1);
        header.rotate_left(typed);
        let mut table = listing::table(&COLUMNS, &figures.processes, 6).into_iter();
        let heading = table.next().map(|heading| (Style::Reversed, self.marked(&heading)));
        let shown = table.map(|line| (Style::Plain, line));
        header.into_iter().chain(heading).chain(shown).take(rows).collect()
    }

    fn prompt(&self, figures: &Figures) -> String {
        if self.editing.is_some() {
            return format!("filter: {}_", self.filter);
        }
        let order = self.order().map_or("", |(name, _)| name);
        let reversed = if self.reverse { ", reversed" } else { "" };
        let filter = match self.filter.is_empty() {
            true => String::new(),
            false => format!("  filter: {}", self.filter),
        };
        let first = if figures.processes.is_empty() { 0 } else { self.offset + 1 };
        let last = self.offset + figures.processes.len();
        format!(
            "{first}-{last} of {}  by {order}{reversed}{filter}  (q ends, s sorts, r reverses, / filters)",
            figures.matching
        )
    }

    /// The heading, with a mark at the column that it is sorted by.
    fn marked(&self, heading: &str) -> String {
        let Some((_, column)) = self.order() else { return heading.to_owned() };
        let mark = if self.reverse { '^' } else { 'v' };
        let title = column.title();
        // Between two titles there are two spaces at the least.
        let found = heading.match_indices(title).find(|(at, _)| {
            let before = heading.get(..*at).unwrap_or_default();
            let after = heading.get(at + title.len()..).unwrap_or_default();
            (before.is_empty() || before.ends_with(' '))
                && (after.is_empty() || after.starts_with(' '))
        });
        match found {
            Some((at, _)) if at > 0 => {
                let before = heading.get(..at - 1).unwrap_or_default();
                let after = heading.get(at..).unwrap_or_default();
                format!("{before}{mark}{after}")
            }
            _ => format!("{mark}{heading}"),
        }
    }

    fn totals(&self, figures: &Figures) -> String {
        let node = &figures.node;
        let (cpu, messages, spawns) = match self.rates {
            Some(Rates { cpu_percent, messages, spawns }) => {
                (format!("{cpu_percent:.1}%"), format!("{messages:.0}/s"), format!("{spawns:.0}/s"))
            }
            None => ("-".to_owned(), "-".to_owned(), "-".to_owned()),
        };
        format!(
            "processes {}  cpu {cpu} of {}%  memory {} ({} resident)  messages {messages}, {} wait  \
             spawns {spawns}",
            count(node.processes as u64),
            figures.runtime.cores * 100,
            bytes(node.memory_bytes),
            bytes(figures.runtime.resident_bytes),
            count(node.mailbox_len),
        )
    }
}

impl Rates {
    fn between(before: &Node, now: &Node, passed_ms: u64) -> Self {
        let seconds = passed_ms as f64 / 1e3;
        let rate = |before: u64, now: u64| now.saturating_sub(before) as f64 / seconds;
        Self {
            cpu_percent: rate(before.cpu_us, now.cpu_us) / 1e4,
            messages: rate(before.messages, now.messages),
            spawns: rate(before.spawned, now.spawned),
        }
    }
}

fn subject(figures: &Figures) -> String {
    let runtime = &figures.runtime;
    let command = runtime.command.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
    let uptime = duration(Duration::from_millis(figures.node.uptime_ms));
    format!(
        "wippy run{command}  up {uptime}  node {}  process ID {}  in {}",
        figures.node.name, runtime.process_id, runtime.project
    )
}

fn ends(figures: &Figures) -> String {
    let node = &figures.node;
    let number = |value: &serde_json::Value| count(value.as_u64().unwrap_or_default());
    let exits: Vec<String> =
        node.exits.iter().map(|(name, value)| format!("{name} {}", number(value))).collect();
    let exits = if exits.is_empty() { "none".to_owned() } else { exits.join(", ") };
    let running = figures.services.iter().filter(|service| service.state == "running").count();
    let services = match figures.services.len() {
        0 => String::new(),
        all => format!("  services: {running} of {all} running"),
    };
    format!("spawned {}  ended: {exits}{services}", count(node.spawned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::protocol::{Runtime, VERSION};
    use crate::listing::tests::process;

    fn figures(processes: usize, uptime_ms: u64) -> Figures {
        Figures {
            version: VERSION,
            runtime: Runtime {
                process_id: 7,
                project: "/srv/app".to_owned(),
                command: None,
                release: "1".to_owned(),
                resident_bytes: 80 << 20,
                cores: 2,
            },
            node: Node {
                name: "local".to_owned(),
                uptime_ms,
                processes,
                spawned: 12 + uptime_ms / 100,
                exits: [("normal".to_owned(), 9.into())].into_iter().collect(),
                cpu_us: uptime_ms * 500,
                memory_bytes: 1 << 20,
                mailbox_len: 3,
                mailbox_bytes: 100,
                messages: uptime_ms * 7,
                steps: 1,
            },
            hosts: Vec::new(),
            services: Vec::new(),
            matching: processes,
            processes: (1..=processes as u64).take(20).map(process).collect(),
        }
    }

    fn shown(view: &View, rows: usize) -> Vec<String> {
        view.lines(rows).into_iter().map(|(_, line)| line).collect()
    }

    #[test]
    fn a_screen() {
        let mut view = View::new(String::new());
        view.resize(24);
        assert_eq!(shown(&view, 24), ["asking the runtime ..."]);
        view.take(figures(2, 60_000));
        view.take(figures(2, 61_000));
        assert_eq!(
            shown(&view, 24),
            [
                "wippy run  up 1m01s  node local  process ID 7  in /srv/app",
                "processes 2  cpu 50.0% of 200%  memory 1.0MiB (80.0MiB resident)  messages 7000/s, 3 wait  spawns 10/s",
                "spawned 622  ended: normal 9",
                "1-2 of 2  by cpu_percent  (q ends, s sorts, r reverses, / filters)",
                " vCPU%     CPU   MEMORY  MAILBOX  RECEIVED    SENT     AGE  STATE    ENTRY       NAME  PID",
                "     -   1.2ms  37.1KiB        3        10   2.00M   1m01s  waiting  app:worker  -     {local@app:processes|1.1}",
                "     -   1.2ms  37.1KiB        3        10   2.00M   1m01s  waiting  app:worker  -     {local@app:processes|1.2}",
            ]
        );
    }

    #[test]
    fn keys_change_what_is_asked() {
        let mut view = View::new(String::new());
        view.resize(15);
        view.take(figures(50, 1_000));
        let sort = |view: &View| view.request().sort.unwrap();
        assert_eq!((sort(&view).as_str(), view.request().limit), ("cpu_percent", Some(10)));
        assert_eq!(view.key(Key::Char('s')), Some(Wish::Look));
        assert_eq!(sort(&view), "cpu");
        view.key(Key::Left);
        view.key(Key::Left);
        assert_eq!(sort(&view), "pid");
        view.key(Key::Right);
        assert_eq!(sort(&view), "cpu_percent");
        view.key(Key::Char('r'));
        assert!(view.request().reverse);
        for (key, offset) in [
            (Key::Up, 0),
            (Key::Down, 1),
            (Key::PageDown, 11),
            (Key::End, 40),
            (Key::Down, 40),
            (Key::PageUp, 30),
            (Key::Home, 0),
        ] {
            assert_eq!(view.key(key), Some(Wish::Look));
            assert_eq!(view.request().offset, offset, "{key:?}");
        }
        assert_eq!(view.key(Key::Char('z')), None);
        assert_eq!(view.key(Key::Char('q')), Some(Wish::Quit));
    }

    #[test]
    fn the_filter_is_edited() {
        let mut view = View::new("old".to_owned());
        view.resize(24);
        view.take(figures(2, 1_000));
        let filter = |view: &View| view.request().filter;
        assert_eq!(view.key(Key::Char('/')), Some(Wish::Draw));
        for key in [Key::Backspace, Key::Char('q'), Key::Char('s')] {
            assert_eq!(view.key(key), Some(Wish::Look), "{key:?} is a letter of it");
        }
        assert_eq!(filter(&view).as_deref(), Some("olqs"));
        assert!(shown(&view, 24).contains(&"filter: olqs_".to_owned()));
        view.key(Key::Escape);
        assert_eq!(filter(&view).as_deref(), Some("old"), "Esc takes back what was typed");
        view.key(Key::Char('/'));
        view.key(Key::Enter);
        assert_eq!(filter(&view).as_deref(), Some("old"));
        view.key(Key::Escape);
        assert_eq!(filter(&view), None, "and then the filter");
        view.key(Key::Char('/'));
        assert_eq!(view.key(Key::Interrupt), Some(Wish::Quit));
    }

    /// As many lines as there is room for, always with some of the table.
    #[test]
    fn small_terminals() {
        let mut view = View::new(String::new());
        for rows in 1..30 {
            view.resize(rows);
            view.take(figures(50, 1_000));
            let lines = view.lines(rows);
            assert!(lines.len() <= rows, "{rows}");
            assert!(lines.iter().any(|(style, _)| *style == Style::Reversed), "{rows}");
        }
    }

    #[test]
    fn what_ended_is_scrolled_away() {
        let mut view = View::new(String::new());
        view.resize(15);
        view.take(figures(50, 1_000));
        view.key(Key::End);
        assert!(view.take(figures(12, 2_000)));
        assert_eq!(view.request().offset, 2);
        assert!(!view.take(figures(12, 3_000)));
    }
}
