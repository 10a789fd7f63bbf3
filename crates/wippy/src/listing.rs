//! Tables of processes for people: columns, units and widths. No terminal here: text only.

use std::fmt::Write as _;
use std::time::Duration;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::control::protocol::{Process, Service};

/// One column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Pid,
    Entry,
    Names,
    Restarts,
    State,
    CpuPercent,
    Cpu,
    Memory,
    Mailbox,
    Queued,
    Received,
    Sent,
    Steps,
    Age,
}

impl Column {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Pid => "PID",
            Self::Entry => "ENTRY",
            Self::Names => "NAME",
            Self::Restarts => "RESTARTS",
            Self::State => "STATE",
            Self::CpuPercent => "CPU%",
            Self::Cpu => "CPU",
            Self::Memory => "MEMORY",
            Self::Mailbox => "MAILBOX",
            Self::Queued => "QUEUED",
            Self::Received => "RECEIVED",
            Self::Sent => "SENT",
            Self::Steps => "STEPS",
            Self::Age => "AGE",
        }
    }

    /// Whether it holds texts, which begin at the left.
    fn is_text(self) -> bool {
        matches!(self, Self::Pid | Self::Entry | Self::Names | Self::State)
    }

    fn cell(self, process: &Process) -> String {
        match self {
            Self::Pid => process.pid.clone(),
            Self::Entry => process.entry.clone(),
            Self::Names if process.names.is_empty() => "-".to_owned(),
            Self::Names if process.more_names > 0 => {
                format!("{},+{}", process.names.join(","), process.more_names)
            }
            Self::Names => process.names.join(","),
            Self::Restarts => process.restarts.map_or_else(|| "-".to_owned(), count),
            Self::State => process.state.clone(),
            Self::CpuPercent => match process.cpu_percent {
                Some(percent) => format!("{percent:.1}"),
                None => "-".to_owned(),
            },
            Self::Cpu => duration(Duration::from_micros(process.cpu_us)),
            Self::Memory => bytes(process.memory_bytes),
            Self::Mailbox => count(process.mailbox_len as u64),
            Self::Queued => bytes(process.mailbox_bytes),
            Self::Received => count(process.received),
            Self::Sent => count(process.sent),
            Self::Steps => count(process.steps),
            Self::Age => duration(Duration::from_millis(process.age_ms)),
        }
    }
}

/// The heading and a line for each process, aligned, without spaces at their ends. `width_min`
/// keeps a column from dancing when its values change.
pub(crate) fn table(columns: &[Column], processes: &[Process], width_min: usize) -> Vec<String> {
    let heading = columns.iter().map(|column| column.title().to_owned()).collect();
    let row = |process: &Process| columns.iter().map(|column| column.cell(process)).collect();
    let rows: Vec<Vec<String>> =
        std::iter::once(heading).chain(processes.iter().map(row)).collect();
    let texts: Vec<bool> = columns.iter().map(|column| column.is_text()).collect();
    aligned(&texts, &rows, width_min)
}

/// The services: a heading and a line for each.
pub(crate) fn services(services: &[Service]) -> Vec<String> {
    const TITLES: [&str; 7] = ["SERVICE", "STATE", "SINCE", "RESTARTS", "NEXT", "PID", "LAST"];
    let since = |milliseconds: u64| duration(Duration::from_millis(milliseconds));
    let none = || "-".to_owned();
    let row = |service: &Service| {
        let last = service.last_error.as_ref().or(service.last_exit.as_ref());
        // The first line of an error says what it is.
        let last = last.and_then(|text| text.lines().next()).unwrap_or("-");
        vec![
            service.id.clone(),
            service.state.clone(),
            since(service.state_ms),
            count(service.restarts),
            service.next_start_ms.map_or_else(none, since),
            service.pid.clone().unwrap_or_else(none),
            last.to_owned(),
        ]
    };
    let heading = TITLES.map(ToOwned::to_owned).to_vec();
    let rows: Vec<Vec<String>> = std::iter::once(heading).chain(services.iter().map(row)).collect();
    aligned(&[true, true, false, false, false, true, true], &rows, 0)
}

/// The rows, with two spaces between columns. Texts begin at the left, the rest ends at the right.
fn aligned(texts: &[bool], rows: &[Vec<String>], width_min: usize) -> Vec<String> {
    let width = |(index, is_text): (usize, &bool)| {
        let cells = rows.iter().filter_map(|row| row.get(index));
        let widest = cells.map(|cell| cell.width()).max().unwrap_or_default();
        if *is_text { widest } else { widest.max(width_min) }
    };
    let widths: Vec<usize> = texts.iter().enumerate().map(width).collect();
    let line = |row: &Vec<String>| {
        let mut line = String::new();
        for ((cell, is_text), width) in row.iter().zip(texts).zip(&widths) {
            if !line.is_empty() {
                line.push_str("  ");
            }
            let padding = " ".repeat(width.saturating_sub(cell.width()));
            // Writing to a string cannot fail.
            let _ = match is_text {
                true => write!(line, "{cell}{padding}"),
                false => write!(line, "{padding}{cell}"),
            };
        }
        line.truncate(line.trim_end().len());
        line
    };
    rows.iter().map(line).collect()
}

/// What of a text fits so many places of a terminal. What would move its cursor becomes `?`.
pub(crate) fn fit(text: &str, width: usize) -> String {
    let mut left = width;
    let mut fitted = String::new();
    for char in text.chars() {
        let char = if char.is_control() { '?' } else { char };
        match left.checked_sub(char.width().unwrap_or_default()) {
            Some(rest) => left = rest,
            None => break,
        }
        fitted.push(char);
    }
    fitted
}

/// `512B`, `1.5KiB`, `37.0MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut value = bytes as f64;
    let mut shown = String::new();
    for unit in UNITS {
        value /= 1024.0;
        shown = format!("{value:.1}{unit}");
        // 1023.95 would be shown as 1024.0.
        if value < 1023.95 {
            break;
        }
    }
    shown
}

/// Exact up to a million, `1.23M` beyond.
pub(crate) fn count(count: u64) -> String {
    match count {
        0..1_000_000 => count.to_string(),
        1_000_000..1_000_000_000 => format!("{:.2}M", count as f64 / 1e6),
        _ => format!("{:.2}G", count as f64 / 1e9),
    }
}

/// `85us`, `1.2ms`, `3.42s`, `4m07s`, `3h12m`, `2d03h`.
pub(crate) fn duration(duration: Duration) -> String {
    let (micros, seconds) = (duration.as_micros(), duration.as_secs());
    match (micros, seconds) {
        (0, _) => "0".to_owned(),
        (0..1_000, _) => format!("{micros}us"),
        (0..1_000_000, _) => format!("{:.1}ms", (micros / 100) as f64 / 10.0),
        (_, 0..60) => format!("{:.2}s", (micros / 10_000) as f64 / 100.0),
        (_, 60..3_600) => format!("{}m{:02}s", seconds / 60, seconds % 60),
        (_, 3_600..86_400) => format!("{}h{:02}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn process(serial: u64) -> Process {
        Process {
            pid: format!("{{local@app:processes|1.{serial:x}}}"),
            serial,
            entry: "app:worker".to_owned(),
            version: 1,
            names: Vec::new(),
            more_names: 0,
            service: None,
            restarts: None,
            host: "app:processes".to_owned(),
            state: "waiting".to_owned(),
            age_ms: 61_000,
            cpu_us: 1_234,
            cpu_percent: None,
            memory_bytes: 38_000,
            mailbox_len: 3,
            mailbox_bytes: 700,
            received: 10,
            sent: 2_000_000,
            calls: 0,
            links: 0,
            monitors: 0,
            steps: 7,
        }
    }

    #[test]
    fn a_table_is_aligned() {
        let mut second = process(0x1f);
        second.entry = "app:x".to_owned();
        second.cpu_us = 61_000_000;
        let columns = [Column::Entry, Column::Cpu, Column::Memory, Column::Sent, Column::Pid];
        assert_eq!(
            table(&columns, &[process(1), second], 0),
            [
                "ENTRY         CPU   MEMORY   SENT  PID",
                "app:worker  1.2ms  37.1KiB  2.00M  {local@app:processes|1.1}",
                "app:x       1m01s  37.1KiB  2.00M  {local@app:processes|1.1f}",
            ]
        );
    }

    #[test]
    fn units() {
        for (value, shown) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.0KiB"),
            ((1 << 20) - 1, "1.0MiB"),
            (u64::MAX, "16384.0PiB"),
        ] {
            assert_eq!(bytes(value), shown);
        }
        for (value, shown) in [(999_999, "999999"), (1_234_567, "1.23M"), (5_000_000_000, "5.00G")]
        {
            assert_eq!(count(value), shown);
        }
        for (micros, shown) in [
            (0, "0"),
            (999, "999us"),
            (1_000, "1.0ms"),
            (999_999, "999.9ms"),
            (1_000_000, "1.00s"),
            (59_999_999, "59.99s"),
            (60_000_000, "1m00s"),
            (3_600_000_000, "1h00m"),
            (90_000_000_000, "1d01h"),
        ] {
            assert_eq!(duration(Duration::from_micros(micros)), shown);
        }
    }

    #[test]
    fn texts_fit_places_and_not_bytes() {
        assert_eq!(fit("abc", 2), "ab");
        assert_eq!(fit("a\u{1b}[2Jb", 10), "a?[2Jb");
        assert_eq!(fit("日本", 3), "日");
        assert_eq!(fit("abc", 0), "");
    }
}
