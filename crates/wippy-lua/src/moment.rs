//! Times of `time.now()` and its kin: a point in time, shown in UTC.
//!
//! A Time is a userdata of nanoseconds since 1970 with `:unix() :unix_milli() :unix_nano()
//! :year() :month() :day() :hour() :minute() :second() :nanosecond() :weekday() :yearday()
//! :add(d) :sub(other) :before(t) :after(t) :equal(t) :format(layout)`, `t - t`, `t + d`,
//! comparison and `tostring` (RFC 3339). Layouts are Go's: the time of reference is
//! `2006-01-02 15:04:05`.

use std::ffi::c_int;

use wippy_model::Error;

use crate::duration::{self, HOUR, MINUTE, SECOND};
use crate::host_fn::{Answer, Outcome, Raised, failed, host_fn, misuse};
use crate::state::{Key, State};

static TIME: Key = Key::new();

const DAY: i64 = 24 * HOUR;

/// What one part of a date may be, either side of zero.
const PART_MAX: u64 = 4_000_000_000;

/// How long a layout may be, in bytes.
const LAYOUT_BYTES_MAX: usize = 1 << 10;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// A date and a time of day.
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    nanosecond: i64,
    /// 0 is Sunday.
    weekday: i64,
}

/// Days since 1970 of a date of the Gregorian calendar.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the leap day is the last.
    let year = year + (month - 1).div_euclid(12);
    let month = (month - 1).rem_euclid(12) + 1;
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil(ns: i64) -> Civil {
    let (days, of_day) = (ns.div_euclid(DAY), ns.rem_euclid(DAY));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    Civil {
        year: year_of_era + era * 400 + i64::from(month <= 2),
        month,
        day: day_of_year - (153 * shifted_month + 2) / 5 + 1,
        hour: of_day / HOUR,
        minute: of_day / MINUTE % 60,
        second: of_day / SECOND % 60,
        nanosecond: of_day % SECOND,
        weekday: (days + 4).rem_euclid(7),
    }
}

fn name(names: &[&'static str], position: i64) -> &'static str {
    usize::try_from(position).ok().and_then(|position| names.get(position)).copied().unwrap_or("")
}

fn short(name: &str) -> &str {
    name.get(..3).unwrap_or(name)
}

/// The parts of a layout, longest first where one begins with another.
const PARTS: [&str; 21] = [
    "2006",
    "January",
    "Jan",
    "Monday",
    "Mon",
    "MST",
    "-07:00",
    "Z07:00",
    ".000000000",
    ".000000",
    ".000",
    ".999999999",
    "01",
    "02",
    "03",
    "04",
    "05",
    "15",
    "06",
    "PM",
    "2",
];

fn format(ns: i64, layout: &str) -> String {
    let at = civil(ns);
    let mut text = String::new();
    let mut rest = layout;
    while let Some(c) = rest.chars().next() {
        let Some(part) = PARTS.into_iter().find(|part| rest.starts_with(part)) else {
            text.push(c);
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
            continue;
        };
        rest = rest.get(part.len()..).unwrap_or_default();
        let digits = format!("{:09}", at.nanosecond);
        text += &match part {
            "2006" => format!("{:04}", at.year),
            "06" => format!("{:02}", at.year.rem_euclid(100)),
            "January" => name(&MONTHS, at.month - 1).to_owned(),
            "Jan" => short(name(&MONTHS, at.month - 1)).to_owned(),
            "Monday" => name(&DAYS, at.weekday).to_owned(),
            "Mon" => short(name(&DAYS, at.weekday)).to_owned(),
            "MST" => "UTC".to_owned(),
            "-07:00" => "+00:00".to_owned(),
            "Z07:00" => "Z".to_owned(),
            ".000000000" => format!(".{digits}"),
            ".000000" => format!(".{:06}", at.nanosecond / 1_000),
            ".000" => format!(".{:03}", at.nanosecond / 1_000_000),
            ".999999999" => match digits.trim_end_matches('0') {
                "" => String::new(),
                digits => format!(".{digits}"),
            },
            "01" => format!("{:02}", at.month),
            "02" => format!("{:02}", at.day),
            "2" => at.day.to_string(),
            "03" => format!("{:02}", (at.hour + 11) % 12 + 1),
            "04" => format!("{:02}", at.minute),
            "05" => format!("{:02}", at.second),
            "15" => format!("{:02}", at.hour),
            "PM" => if at.hour < 12 { "AM" } else { "PM" }.to_owned(),
            _ => String::new(),
        };
    }
    text
}

const RFC3339: &str = "2006-01-02T15:04:05.999999999Z07:00";

/// Reads `2006-01-02`, or that with a time, a fraction and an offset.
fn read(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let is = |at: usize, choices: &str| text.get(at..=at).is_some_and(|c| choices.contains(c));
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let fits = is(4, "-") && is(7, "-") && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !fits {
        return None;
    }
    let start = days_of(year, month, day).checked_mul(DAY)?;
    if text.len() == 10 {
        return Some(start);
    }
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(is(10, "T t") && is(13, ":") && is(16, ":") && hour < 24 && minute < 60 && second < 61) {
        return None;
    }
    let mut rest = text.get(19..)?;
    let mut nanosecond = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let end = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
        let digits = fraction.get(..end.min(9))?;
        nanosecond = format!("{digits:0<9}").parse().ok()?;
        rest = fraction.get(end..)?;
    }
    let offset = match rest {
        "" | "Z" | "z" => 0,
        _ => {
            let sign = if rest.starts_with('-') { -1 } else { 1 };
            let (hours, minutes) = rest.strip_prefix(['+', '-'])?.split_once(':')?;
            // Digits alone: a number's own parser would take another sign.
            let part = |digits: &str, end: i64| -> Option<i64> {
                let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
                plain.then(|| digits.parse().ok())?.filter(|part| *part < end)
            };
            sign * (part(hours, 24)? * HOUR + part(minutes, 60)? * MINUTE)
        }
    };
    start.checked_add(hour * HOUR + minute * MINUTE + second * SECOND + nanosecond - offset)
}

/// Pushes a Time.
pub(crate) fn push(state: State<'_>, ns: i64) {
    state.push_plain(ns, &TIME, make_metatable);
}

/// `time.date(year, month, day, hour, minute, second, nanosecond)`; what is left out is the
/// start of what is given.
pub(crate) fn date(state: State<'_>) -> Outcome {
    let part = |index: c_int, missing: i64| match state.is_absent(index) {
        true => Some(missing),
        false => state.to_integer(index).filter(|part| part.unsigned_abs() <= PART_MAX),
    };
    let ns = (|| {
        let days = days_of(part(1, 1970)?, part(2, 1)?, part(3, 1)?);
        let scaled = |index, unit: i64| part(index, 0)?.checked_mul(unit);
        days.checked_mul(DAY)?
            .checked_add(scaled(4, HOUR)?)?
            .checked_add(scaled(5, MINUTE)?)?
            .checked_add(scaled(6, SECOND)?)?
            .checked_add(part(7, 0)?)
    })();
    match ns {
        Some(ns) => {
            push(state, ns);
            Ok(Answer::Values(1))
        }
        None => Err(misuse(state, "time.date takes whole numbers: year, month, day, hour, ...")),
    }
}

/// `time.parse(text)` or `time.parse(layout, text)`: dates, and RFC 3339 with or without a
/// fraction and an offset.
pub(crate) fn parse(state: State<'_>) -> Outcome {
    let index = if state.is_absent(2) { 1 } else { 2 };
    match state.to_str(index).and_then(read) {
        Some(ns) => {
            push(state, ns);
            Ok(Answer::Values(1))
        }
        None => failed(
            state,
            &Error::invalid(format!(
                "time.parse takes a text such as 2006-01-02T15:04:05Z, got {}",
                state
                    .to_str(index)
                    .map_or(state.type_name(index).to_owned(), |t| format!("\"{t}\""))
            )),
        ),
    }
}

fn this(state: State<'_>, index: c_int) -> Result<i64, Raised> {
    state.to_plain(index, &TIME).ok_or_else(|| {
        misuse(state, format_args!("expected a Time, got a {}", state.type_name(index)))
    })
}

fn number(state: State<'_>, of: fn(i64) -> i64) -> Outcome {
    let ns = this(state, 1)?;
    state.push_integer(of(ns));
    Ok(Answer::Values(1))
}

fn compare(state: State<'_>, holds: fn(i64, i64) -> bool) -> Outcome {
    let holds = holds(this(state, 1)?, this(state, 2)?);
    state.push_bool(holds);
    Ok(Answer::Values(1))
}

fn add(state: State<'_>) -> Outcome {
    // Either operand of `+` may be the Time.
    let (time, span) = if state.to_plain::<i64>(1, &TIME).is_some() { (1, 2) } else { (2, 1) };
    let ns = this(state, time)?;
    match duration::get(state, span) {
        Ok(by) => push(state, ns.saturating_add(by)),
        Err(error) => return Err(misuse(state, error)),
    }
    Ok(Answer::Values(1))
}

fn sub(state: State<'_>) -> Outcome {
    let ns = this(state, 1)?;
    match (state.to_plain::<i64>(2, &TIME), duration::get(state, 2)) {
        (Some(other), _) => duration::push(state, ns.saturating_sub(other)),
        (None, Ok(by)) => push(state, ns.saturating_sub(by)),
        (None, Err(error)) => return Err(misuse(state, error)),
    }
    Ok(Answer::Values(1))
}

/// Pushes the new metatable.
fn make_metatable(state: State<'_>) {
    state.push_table(0, 10);
    state.push_table(0, 20);
    state.set_functions(&[
        ("unix", host_fn(|s, _| number(s, |ns| ns.div_euclid(SECOND)))),
        ("unix_milli", host_fn(|s, _| number(s, |ns| ns.div_euclid(1_000_000)))),
        ("unix_nano", host_fn(|s, _| number(s, |ns| ns))),
        ("year", host_fn(|s, _| number(s, |ns| civil(ns).year))),
        ("month", host_fn(|s, _| number(s, |ns| civil(ns).month))),
        ("day", host_fn(|s, _| number(s, |ns| civil(ns).day))),
        ("hour", host_fn(|s, _| number(s, |ns| civil(ns).hour))),
        ("minute", host_fn(|s, _| number(s, |ns| civil(ns).minute))),
        ("second", host_fn(|s, _| number(s, |ns| civil(ns).second))),
        ("nanosecond", host_fn(|s, _| number(s, |ns| civil(ns).nanosecond))),
        ("weekday", host_fn(|s, _| number(s, |ns| civil(ns).weekday))),
        (
            "yearday",
            host_fn(|s, _| number(s, |ns| ns.div_euclid(DAY) - days_of(civil(ns).year, 1, 1) + 1)),
        ),
        ("add", host_fn(|s, _| add(s))),
        ("sub", host_fn(|s, _| sub(s))),
        ("before", host_fn(|s, _| compare(s, |a, b| a < b))),
        ("after", host_fn(|s, _| compare(s, |a, b| a > b))),
        ("equal", host_fn(|s, _| compare(s, |a, b| a == b))),
        (
            "format",
            host_fn(|s, _| {
                let ns = this(s, 1)?;
                let layout = if s.is_absent(2) { RFC3339 } else { s.to_str(2).unwrap_or(RFC3339) };
                if layout.len() > LAYOUT_BYTES_MAX {
                    let message = format!("a layout has at most {LAYOUT_BYTES_MAX} bytes");
                    return Err(misuse(s, message));
                }
                s.push_str(&format(ns, layout));
                Ok(Answer::Values(1))
            }),
        ),
    ]);
    state.set_field(-2, "__index");
    state.set_functions(&[
        ("__add", host_fn(|s, _| add(s))),
        ("__sub", host_fn(|s, _| sub(s))),
        ("__eq", host_fn(|s, _| compare(s, |a, b| a == b))),
        ("__lt", host_fn(|s, _| compare(s, |a, b| a < b))),
        ("__le", host_fn(|s, _| compare(s, |a, b| a <= b))),
        (
            "__tostring",
            host_fn(|s, _| {
                let ns = this(s, 1)?;
                s.push_str(&format(ns, RFC3339));
                Ok(Answer::Values(1))
            }),
        ),
    ]);
    state.push_str("time");
    state.set_field(-2, "__name");
    state.push_bool(false);
    state.set_field(-2, "__metatable");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2024-02-29T23:59:59.5Z",
            "1969-12-31T23:59:59Z",
            "2026-11-20T08:00:00.000000001Z",
        ] {
            assert_eq!(format(read(text).unwrap(), RFC3339), text);
        }
        assert_eq!(read("2024-03-01"), Some(19_783 * DAY));
        assert_eq!(read("2024-03-01T02:00:00+02:00"), Some(19_783 * DAY));
    }

    #[test]
    fn layouts() {
        let at = read("2024-03-05T17:04:09Z").unwrap();
        assert_eq!(format(at, "Mon, 02 Jan 2006 03:04 PM"), "Tue, 05 Mar 2024 05:04 PM");
        assert_eq!(format(at, "2 January 06 .000"), "5 March 24 .000");
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in [
            "",
            "2024",
            "2024-13-01",
            "2024-01-01T25:00:00Z",
            "2024-01-01Tx",
            "x024-01-01",
            "2024-01-01T00:00:00+9223372036854775807:00",
            "2024-01-01T00:00:00+24:00",
            "2024-01-01T00:00:00+01:60",
            "2024-01-01T00:00:00+-1:00",
            "2024-01-01T00:00:00+01:+1",
            "2024-01-01T00:00:00+:",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
