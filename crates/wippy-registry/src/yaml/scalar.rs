//! What a plain scalar means, by the core schema of YAML 1.2 (section 10.3.2).
//!
//! `yes`, `on` and `0755` are not the truth values and the octal number of YAML 1.1:
//! they are text, text and the number 755.

use super::node::Content;

/// What plain text means.
pub(super) fn resolve(text: &str) -> Content {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Content::Null,
        "true" | "True" | "TRUE" => Content::Bool(true),
        "false" | "False" | "FALSE" => Content::Bool(false),
        _ => number(text).unwrap_or_else(|| Content::Text(text.to_owned())),
    }
}

fn number(text: &str) -> Option<Content> {
    // Most scalars are names: one look at the first byte sends them away.
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return None;
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" if text.starts_with('-') => {
            return Some(Content::Float(f64::NEG_INFINITY));
        }
        ".inf" | ".Inf" | ".INF" => return Some(Content::Float(f64::INFINITY)),
        ".nan" | ".NaN" | ".NAN" if unsigned == text => return Some(Content::Float(f64::NAN)),
        _ => {}
    }
    if !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        if let Ok(number) = text.parse::<i64>() {
            return Some(Content::Int(number));
        }
        if let Ok(number) = text.parse::<u64>() {
            return Some(Content::UInt(number));
        }
    }
    float(unsigned).then(|| text.parse().ok().map(Content::Float)).flatten()
}

fn radix(digits: &str, base: u32) -> Option<Content> {
    // `from_str_radix` would take a sign.
    if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let number = u64::from_str_radix(digits, base).ok()?;
    Some(i64::try_from(number).map_or(Content::UInt(number), Content::Int))
}

/// Whether the text is `( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`.
fn float(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_fits = exponent.is_none_or(|text| {
        let text = text.strip_prefix(['+', '-']).unwrap_or(text);
        !text.is_empty() && digits(text)
    });
    digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_schema() {
        let text = |text: &str| Content::Text(text.to_owned());
        for (input, expected) in [
            ("", Content::Null),
            ("~", Content::Null),
            ("Null", Content::Null),
            ("nUll", text("nUll")),
            ("true", Content::Bool(true)),
            ("yes", text("yes")),
            ("6", Content::Int(6)),
            ("-6", Content::Int(-6)),
            ("+6", Content::Int(6)),
            ("0755", Content::Int(755)),
            ("0o755", Content::Int(493)),
            ("0xFf", Content::Int(255)),
            ("0x", text("0x")),
            ("0x-1", text("0x-1")),
            ("18446744073709551615", Content::UInt(u64::MAX)),
            ("1.5", Content::Float(1.5)),
            ("1.", Content::Float(1.0)),
            (".5", Content::Float(0.5)),
            ("1e3", Content::Float(1000.0)),
            ("-.inf", Content::Float(f64::NEG_INFINITY)),
            ("1.2.3", text("1.2.3")),
            ("1e", text("1e")),
            (".", text(".")),
            ("-", text("-")),
            ("30s", text("30s")),
            ("1_000", text("1_000")),
            ("infinity", text("infinity")),
            ("-infinity", text("-infinity")),
        ] {
            assert_eq!(resolve(input), expected, "{input}");
        }
        assert!(matches!(resolve(".nan"), Content::Float(nan) if nan.is_nan()));
    }
}
